"""The child that fuzzes one parser, guided by the coverage of opsrail's own code.

`python -m tests.fuzz.guided NAME CORPUS LIBFUZZER-OPTIONS...`; atheris is in .venv-fuzz alone.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    name, corpus, *options = sys.argv[1:]
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["opsrail"]):
        shared = importlib.import_module("tests.fuzz.harness")
        harness = shared.harness_of(name)
    for number, sample in enumerate(harness.SAMPLES):
        (Path(corpus) / f"sample-{number}").write_bytes(sample)

    def test_one(data: bytes) -> None:
        """Try one input; what it raises, libFuzzer writes down."""
        shared.tried(harness, data)

    atheris.Setup([sys.argv[0], *options, corpus], test_one)
    atheris.Fuzz()

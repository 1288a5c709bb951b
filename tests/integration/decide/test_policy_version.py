"""A policy's version after a restart: another process, another hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

AUTHOR = """
from opsrail import Band, Policy, Rule

BLOCKED = {"Honda", "Ford", "Mazda", "Saab"}
rule = Rule("blocked", when=lambda facts: facts.make in BLOCKED, verdict="review", reason="Blocked.")
print(Policy(bands=[Band("approve", below=0.5), Band("review", below=1.01)], rules=[rule]).version)
"""


def test_a_policys_version_survives_a_restart_and_a_move(tmp_path: Path) -> None:
    versions = set()
    for seed in ("1", "2", "3"):
        folder = tmp_path / seed
        folder.mkdir()
        (folder / "author.py").write_text(AUTHOR, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "author.py"],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        versions.add(done.stdout.strip())

    assert len(versions) == 1
    assert len(versions.pop()) == 16

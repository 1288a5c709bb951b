"""Scores with LightGBM models, on the CPU, in this process.

An artifact is what `opsrail models import model.txt` makes: a container (`opsrail.values.containers`) around the text that
`Booster.save_model` writes, of form `lightgbm-text`. Its native code sees only text that was checked and written anew
(`lightgbm_text`); whoever does not trust that much runs it in a process of its own.
"""

from __future__ import annotations

from opsrail.connect.intact import check_intact
from opsrail.errors import MissingExtra
from opsrail.ports import LoadedModel
from opsrail.values.containers import unpack

FORM = "lightgbm-text"
LARGEST_BOOSTER_BYTES = 50 * 1024 * 1024
"""A hundred trees take about 100 kB. Read as Python's own numbers a model takes some ten times its size. Source: ours."""


class LightgbmRuntime:
    """Loads LightGBM artifacts.

    Args:
        threads: Of one call. Many small calls: a second thread costs more than it brings.
    """

    name = "lightgbm"

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def load(self, artifact: bytes, expected_digest: str) -> LoadedModel:
        """Return the model, after one trial run. Blocking: about a second for each 10 MB.

        Args:
            artifact: The whole container.
            expected_digest: `sha256:<hex>` that the registry holds for it.

        Raises:
            ArtifactRefused: the digest differs, it is too large, or not a model as this module's head describes. Terminal:
                nothing was loaded.
            MissingExtra: lightgbm or numpy is not installed. Terminal: install what the message names.
        """
        check_intact(artifact, expected_digest, LARGEST_BOOSTER_BYTES)
        _, signature, native = unpack(artifact, FORM)
        try:
            from opsrail.connect.lightgbm_model import open_model
        except ModuleNotFoundError as error:
            raise MissingExtra("The lightgbm model runtime", "boosters") from error
        return open_model(native, signature, expected_digest, self._threads)

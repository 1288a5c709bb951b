"""Scores with LightGBM models, on the CPU, in this process.

An artifact is what `opsrail models import model.txt` makes: a container (`opsrail.values.containers`) around the text that
`Booster.save_model` writes, of form `lightgbm-text`. Its native code sees only text that was checked and written anew
(`lightgbm_text`); whoever does not trust that much runs it in a process of its own.
"""

from __future__ import annotations

from opsrail.connect.booster_runtime import BoosterRuntime, Opener

FORM = "lightgbm-text"


class LightgbmRuntime(BoosterRuntime):
    """Loads LightGBM artifacts."""

    name = "lightgbm"
    form = FORM

    def _opener(self) -> Opener:
        from opsrail.connect.lightgbm_model import open_model

        return open_model

"""Scores with XGBoost models, on the CPU, in this process.

An artifact is what `opsrail models import` makes of a `.json` or `.ubj`: a container (`opsrail.values.containers`) around
what `Booster.save_model` writes, of form `xgboost`. Its native code sees only bytes that were checked and written anew
(`xgboost_file`); whoever does not trust that much runs it in a process of its own.
"""

from __future__ import annotations

from opsrail.connect.booster_runtime import BoosterRuntime, Opener

FORM = "xgboost"


class XgboostRuntime(BoosterRuntime):
    """Loads XGBoost artifacts."""

    name = "xgboost"
    form = FORM

    def _opener(self) -> Opener:
        from opsrail.connect.xgboost_model import open_model

        return open_model

"""Scores with XGBoost models, on the CPU, in this process.

An artifact is what `opsrail models import` makes of a `.json` or `.ubj`: a container (`opsrail.values.containers`) around
what `Booster.save_model` writes, of form `xgboost`. Its native code sees only bytes that were checked and written anew
(`xgboost_file`); whoever does not trust that much runs it in a process of its own.
"""

from __future__ import annotations

from opsrail.connect.intact import check_intact
from opsrail.connect.lightgbm import LARGEST_BOOSTER_BYTES
from opsrail.errors import MissingExtra
from opsrail.ports import LoadedModel
from opsrail.values.containers import unpack

FORM = "xgboost"


class XgboostRuntime:
    """Loads XGBoost artifacts.

    Args:
        threads: Of one call. Many small calls: a second thread costs more than it brings.
    """

    name = "xgboost"

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
            MissingExtra: xgboost or numpy is not installed. Terminal: install what the message names.
        """
        check_intact(artifact, expected_digest, LARGEST_BOOSTER_BYTES)
        _, signature, native = unpack(artifact, FORM)
        try:
            from opsrail.connect.xgboost_model import open_model
        except ModuleNotFoundError as error:
            raise MissingExtra("The xgboost model runtime", "boosters") from error
        return open_model(native, signature, expected_digest, self._threads)

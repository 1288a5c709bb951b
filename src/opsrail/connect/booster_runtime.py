"""What the runtimes of LightGBM and XGBoost share: a container is checked and opened; its library is imported only then."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from opsrail.connect.intact import check_intact
from opsrail.errors import MissingExtra
from opsrail.ports import LoadedModel
from opsrail.values.containers import Signature, unpack

LARGEST_BOOSTER_BYTES = 50 * 1024 * 1024
"""A hundred trees take about 100 kB. Read as Python's own numbers a model takes some ten times its size. Source: ours."""
Opener = Callable[[bytes, Signature, str, int], LoadedModel]
"""Makes a model of the booster's own bytes, with a digest and a number of threads."""


class BoosterRuntime(ABC):
    """Loads artifacts of one kind of booster.

    Args:
        threads: Of one call. Many small calls: a second thread costs more than it brings.
    """

    name: str
    form: str

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def load(self, artifact: bytes, expected_digest: str) -> LoadedModel:
        """Return the model, after one trial run. Blocking: about a second for each 10 MB.

        Args:
            artifact: The whole container.
            expected_digest: `sha256:<hex>` that the registry holds for it.

        Raises:
            ArtifactRefused: the digest differs, it is too large, or not a model as the runtime's module describes. Terminal:
                nothing was loaded.
            MissingExtra: the booster's library or numpy is not installed. Terminal: install what the message names.
        """
        check_intact(artifact, expected_digest, LARGEST_BOOSTER_BYTES)
        _, signature, native = unpack(artifact, self.form)
        try:
            open_model = self._opener()
        except ModuleNotFoundError as error:
            raise MissingExtra(f"The {self.name} model runtime", "boosters") from error
        return open_model(native, signature, expected_digest, self._threads)

    @abstractmethod
    def _opener(self) -> Opener:
        """Return what opens a model. Raises ModuleNotFoundError: its library is not installed."""

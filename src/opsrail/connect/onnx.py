"""Scores with ONNX models, on the CPU, in this process.

An artifact that opsrail runs has one input, a float32 tensor [rows, columns], and one float32 output: the probability of
the positive class [rows] or [rows, 1], or of both classes [rows, 2], as scikit-learn's exporters write it (with `zipmap`
off). Other outputs, such as labels, are left alone. Its metadata tells the rest:

    opsrail.columns      what stands in each column (`opsrail.values.columns.columns_to_json`); required
    opsrail.confidence   JSON {"edges": [...], "confidences": [...]} (`opsrail.values.confidence`); without it,
                         confidence is one minus the entropy of the score
    opsrail.reference    JSON {"rows": [[...]], "lows": [...], "highs": [...]} in the order of the columns, all optional:
                         what a typical row is, against which scores are explained, and what numbers training saw
"""

from __future__ import annotations

from opsrail.connect.intact import check_intact
from opsrail.connect.onnx_guard import LARGEST_ARTIFACT_BYTES, check_artifact
from opsrail.errors import MissingExtra
from opsrail.ports import LoadedModel


class OnnxRuntime:
    """Loads ONNX artifacts.

    Args:
        threads: Of one session. Many small calls: a second thread costs more than it brings.
    """

    name = "onnx"

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def load(self, artifact: bytes, expected_digest: str) -> LoadedModel:
        """Return the model, after one trial run. Blocking: milliseconds for a small model.

        Args:
            artifact: The whole model.
            expected_digest: `sha256:<hex>` that the registry holds for it.

        Raises:
            ArtifactRefused: the digest differs, the artifact reaches beyond itself (`onnx_guard`), or it is not a
                model as this module's head describes. Terminal: nothing was loaded.
            MissingExtra: onnxruntime or numpy is not installed. Terminal: install what the message names.
        """
        check_intact(artifact, expected_digest, LARGEST_ARTIFACT_BYTES)
        is_bounded = check_artifact(artifact)
        try:
            from opsrail.connect.onnx_model import open_model
        except ModuleNotFoundError as error:
            raise MissingExtra("The onnx model runtime", "models") from error
        return open_model(artifact, expected_digest, self._threads, is_bounded=is_bounded)

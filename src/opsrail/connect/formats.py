"""Files as training leaves them: what they tell, and the artifacts that are made of them.

Native libraries see them only after the checks that a runtime makes, too; what a runtime would refuse is refused here.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from opsrail.connect.booster_runtime import LARGEST_BOOSTER_BYTES
from opsrail.connect.lightgbm import FORM as LIGHTGBM
from opsrail.connect.lightgbm import LightgbmRuntime
from opsrail.connect.onnx import OnnxRuntime
from opsrail.connect.onnx_guard import check_artifact
from opsrail.connect.skops import FORM as SKOPS
from opsrail.connect.skops import TRUSTED, SkopsRuntime
from opsrail.connect.skops_guard import LARGEST_SKOPS_BYTES, check_file
from opsrail.connect.xgboost import FORM as XGBOOST
from opsrail.connect.xgboost import XgboostRuntime
from opsrail.errors import ArtifactRefused, MissingExtra
from opsrail.values.canonical import canonical, digest
from opsrail.values.columns import columns_to_json
from opsrail.values.containers import Described, Signature, pack

STOPPED = (
    "Training thought {0} rounds best and went on; all are used, as Booster.predict does. To use {0}, "
    "save booster[:{0}]."
)
PROPERTY_TAG = b"\x72"
"""Of field 14, a length-delimited message, in ONNX's `ModelProto`: one entry of its metadata."""


class OnnxFile:
    """`.onnx`: has room for the signature in its own metadata."""

    def describe(self, content: bytes) -> Described:
        check_artifact(content)
        try:
            from opsrail.connect.onnx_model import read_told
        except ModuleNotFoundError as error:
            raise MissingExtra("The onnx model runtime", "models") from error
        count, columns = read_told(content, digest(content))
        if columns and len(columns) != count:
            raise ArtifactRefused(
                f"The model reads {count} columns and names {len(columns)}; export it anew."
            )
        return Described(OnnxRuntime.name, count, tuple(one.name for one in columns), columns)

    def artifact(self, content: bytes, signature: Signature) -> bytes:
        """Return the file with the signature as further metadata; untouched where it brings its own.

        A message of Protocol Buffers may be continued by more bytes: entries of a list are added to those before.
        """
        if self.describe(content).columns:
            return content
        told = {"opsrail.columns": columns_to_json(signature.columns)}
        if signature.confidence is not None:
            told["opsrail.confidence"] = json.dumps(dict(signature.confidence))
        if signature.reference is not None:
            told["opsrail.reference"] = canonical(dict(signature.reference)).decode()
        return content + b"".join(
            PROPERTY_TAG + _sized(b"\x0a" + _sized(key.encode()) + b"\x12" + _sized(text.encode()))
            for key, text in sorted(told.items())
        )


class LightgbmFile:
    """`.txt`, as `Booster.save_model` writes it."""

    def describe(self, content: bytes) -> Described:
        from opsrail.connect.lightgbm_text import read_text

        _check_size(content, LARGEST_BOOSTER_BYTES)
        text = read_text(content)
        has_words = len(text.words) == len(text.categorical)
        is_recoded = bool(text.words) and not has_words
        return Described(
            LightgbmRuntime.name,
            len(text.names),
            text.names,
            categorical=frozenset(text.categorical),
            words=dict(zip(text.categorical, text.words, strict=True)) if has_words else {},
            recoded=frozenset(text.categorical) if is_recoded else frozenset(),
            lows=text.lows,
            highs=text.highs,
            takes_missing=True,
        )

    def artifact(self, content: bytes, signature: Signature) -> bytes:
        return pack(content, LIGHTGBM, signature)


class XgboostFile:
    """`.json` and `.ubj`, as `Booster.save_model` writes them."""

    def describe(self, content: bytes) -> Described:
        try:
            from opsrail.connect.xgboost_file import read_file
        except ModuleNotFoundError as error:
            raise MissingExtra("The xgboost model runtime", "boosters") from error
        _check_size(content, LARGEST_BOOSTER_BYTES)
        file = read_file(content)
        return Described(
            XgboostRuntime.name,
            file.count,
            file.names,
            categorical=frozenset(file.categorical),
            words={place: words for place, words in file.words.items() if words},
            recoded=frozenset(place for place, words in file.words.items() if not words),
            takes_missing=True,
            notes=() if file.stopped_early is None else (STOPPED.format(file.stopped_early),),
        )

    def artifact(self, content: bytes, signature: Signature) -> bytes:
        return pack(content, XGBOOST, signature)


class SkopsFile:
    """`.skops`, as `skops.io.dump` writes it.

    Args:
        trusted: Further classes that it may hold.
    """

    def __init__(self, trusted: Collection[str] = ()) -> None:
        self._trusted = TRUSTED | frozenset(trusted)

    def describe(self, content: bytes) -> Described:
        _check_size(content, LARGEST_SKOPS_BYTES)
        try:
            from opsrail.connect.skops_model import load_file
        except ModuleNotFoundError as error:
            raise MissingExtra("The sklearn model runtime", "sklearn") from error
        check_file(content, self._trusted)
        model = load_file(content, digest(content), self._trusted)
        count = getattr(model, "n_features_in_", None)
        if not isinstance(count, int):
            raise ArtifactRefused(
                "The scikit-learn model was not fitted, or does not say on how many features."
            )
        names = tuple(str(name) for name in getattr(model, "feature_names_in_", ()))
        return Described(SkopsRuntime.name, count, names)

    def artifact(self, content: bytes, signature: Signature) -> bytes:
        return pack(content, SKOPS, signature)


def _check_size(content: bytes, most: int) -> None:
    if len(content) > most:
        raise ArtifactRefused(
            f"The file has {len(content)} bytes, more than {most}; train a smaller model."
        )


def _sized(content: bytes) -> bytes:
    """Return bytes behind their length, as Protocol Buffers write it."""
    length, head = len(content), bytearray()
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content

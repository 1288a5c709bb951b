"""Reads page images with RapidOCR on onnxruntime: models lie in its wheel, no connection is ever opened.

What makes it quick without reading worse was measured on the shipped receipts (`bench/receipts.py`): text is
looked for on a page scaled down, while its characters are cut from the page as it came; lines go through one at a
time, each at its own width; the classifier for upside-down lines stays off; and threads that wait sleep rather
than spin.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

from opsrail.errors import ArtifactRefused, MissingExtra
from opsrail.values.documents import TextLine

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")

PIXELS = 50_000_000
"""Largest sum over a file's pages. Source: ours; A4 at 600 dpi is 35 million. Keeps a small file from filling
memory."""

PAGES = 20
"""Most pages in one file (TIFF). Source: ours."""

PAGE_SIDE_PX = 2000
"""Pages are scaled down to it first. Source: ours; RapidOCR's own limit, and characters gain nothing above it."""

SEARCH_SIDE_PX = 800
"""Longest side of the copy in which text is looked for. Source: ours, measured; see `bench/receipts.py`."""

LEAST_LINE_PX = 48
"""Narrowest strip the recogniser is given, at its fixed height of 48. Source: ours; its default, 320, pads most
lines twofold."""

LEAST_CONFIDENCE = 0.3
"""Lines the engine is less sure of are noise. Source: ours; what is above it weighs with its confidence."""


class RapidOcrReader:
    """A `PageReader`. Making one loads and warms the engine, about 2 s and 0.4 GB.

    Args:
        search_side_px: Longest side of the copy in which text is looked for. 320..2000.
        threads: Cores one page may use. >= 1.

    Raises:
        MissingExtra: rapidocr with its models, onnxruntime, opencv or pillow is not installed. Terminal.
    """

    def __init__(self, *, search_side_px: int = SEARCH_SIDE_PX, threads: int = 2) -> None:
        try:
            self._engine = _engine(search_side_px, threads)
        except ImportError as missing:
            raise MissingExtra("RapidOcrReader", "documents") from missing
        self.name = f"rapidocr {importlib.metadata.version('rapidocr')}"
        self._read_page(_warm_page(), 1)

    def read(self, image: bytes) -> tuple[TextLine, ...]:
        """Return the lines page by page, top to bottom; boxes in pixels of the page turned upright.

        Raises:
            ArtifactRefused: not an image of FORMATS, damaged, or too large. Terminal.
        """
        lines: list[TextLine] = []
        for number, page in enumerate(decoded(image), start=1):
            lines += self._read_page(page, number)
        return tuple(lines)

    def _read_page(self, page: Any, number: int) -> list[TextLine]:
        found = self._engine(page)
        if found.txts is None or found.boxes is None:
            return []
        lines = []
        for text, confidence, corners in zip(found.txts, found.scores, found.boxes, strict=True):
            xs, ys = corners[:, 0], corners[:, 1]
            box = (int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max()))
            lines.append(TextLine(text.strip(), round(float(confidence), 4), box, number))
        return sorted(lines, key=lambda line: (line.box[1] + line.box[3], line.box[0]))


def decoded(image: bytes) -> list[Any]:
    """Return a file's pages upright, as uint8 arrays [height, width, 3], blue first.

    Raises:
        ArtifactRefused: not an image of FORMATS, damaged, or larger than PIXELS or PAGES. Terminal.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is not damage; size is checked here
            with Image.open(BytesIO(image), formats=FORMATS) as file:
                file.verify()  # checksums, where the format has them
            with Image.open(BytesIO(image), formats=FORMATS) as file:
                return _pages(file)
    except UnidentifiedImageError as fault:
        raise ArtifactRefused(
            "it is not a JPEG, PNG, TIFF or WebP image; export the page as one of these"
        ) from fault
    except Image.DecompressionBombError as fault:
        raise ArtifactRefused(
            f"it unpacks to more than {PIXELS:,} pixels; scan it at a lower resolution"
        ) from fault
    except ArtifactRefused:
        raise
    except Exception as fault:  # decoders raise whatever a broken file leads them to
        raise ArtifactRefused(f"the image is damaged ({fault}); scan or send it again") from fault


def _pages(file: Any) -> list[Any]:
    import numpy
    from PIL import Image, ImageOps, ImageSequence

    is_paged = file.format == "TIFF"
    if is_paged and file.n_frames > PAGES:
        raise ArtifactRefused(f"it has {file.n_frames} pages, more than {PAGES}; split it")
    pages, pixels = [], 0
    for frame in ImageSequence.Iterator(file) if is_paged else (file,):
        pixels += frame.width * frame.height
        if pixels > PIXELS:
            raise ArtifactRefused(
                f"it unpacks to more than {PIXELS:,} pixels; scan it at a lower resolution"
            )
        upright = ImageOps.exif_transpose(frame)
        if upright.has_transparency_data:
            upright = Image.alpha_composite(
                Image.new("RGBA", upright.size, "white"), upright.convert("RGBA")
            )
        pages.append(numpy.ascontiguousarray(numpy.asarray(upright.convert("RGB"))[:, :, ::-1]))
    return pages


def _engine(search_side_px: int, threads: int) -> Any:
    """Return RapidOCR on sessions of our own: its own would fetch a model that is missing or altered."""
    import cv2
    import PIL.Image  # noqa: F401 - missing packages are told of now, not at the first page
    import rapidocr
    from omegaconf import OmegaConf

    cv2.setNumThreads(threads)
    engine: Any = rapidocr.RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.use_cls": False,
            "Global.text_score": LEAST_CONFIDENCE,
            "Global.max_side_len": PAGE_SIDE_PX,
            "Det.limit_type": "max",
            "Det.limit_side_len": search_side_px,
            "Rec.rec_batch_num": 1,
            "Rec.rec_img_shape": [3, 48, LEAST_LINE_PX],
        }
    )
    engine.cfg = OmegaConf.create(OmegaConf.to_container(engine.cfg), flags={"allow_objects": True})
    models = Path(rapidocr.__file__).parent / "models"
    engine.cfg.Det.session = _session(models, "det", threads)
    engine.cfg.Rec.session = _session(models, "rec", threads)
    return engine


def _session(models: Path, task: str, threads: int) -> Any:
    import onnxruntime

    bundled = sorted(models.glob(f"*_{task}_*.onnx"))
    if not bundled:
        raise ImportError(f"no model *_{task}_*.onnx in {models}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        str(bundled[0]), options, providers=["CPUExecutionProvider"]
    )


def _warm_page() -> Any:
    import cv2
    import numpy

    page = numpy.full((480, 640, 3), 255, numpy.uint8)
    return cv2.putText(page, "TOTAL 12.34", (80, 200), cv2.FONT_HERSHEY_SIMPLEX, 2.0, (0, 0, 0), 3)

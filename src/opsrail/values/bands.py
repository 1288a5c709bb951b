"""Bands: which scores get which verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from opsrail.errors import Fault, InvalidInput


class Band(NamedTuple):
    """Scores up to, and not including, `below` get this verdict; a band starts where the one before ends, the first at 0."""

    verdict: str
    below: float


def bands_of(text: str) -> tuple[Band, ...]:
    """Return bands from `approve:0.03,review:1.01`; `=` does for `:`. Whether they cover all scores is not looked at.

    Raises:
        InvalidInput: every part that is none. Terminal.
    """
    bands, found = [], []
    for part in text.split(","):
        verdict, _, below = part.replace("=", ":").rpartition(":")
        try:
            bands.append(Band(verdict.strip(), float(below)))
        except ValueError:
            found.append(Fault("bands", f"{part!r} is not VERDICT:BELOW, e.g. approve:0.03"))
    if found:
        raise InvalidInput(f"{text!r} are no bands", found)
    return tuple(bands)


def band_of(bands: Sequence[Band], score: float) -> Band:
    """Return the band of a score in [0, 1]."""
    for band in bands:
        if score < band.below:
            return band
    raise ValueError(f"no band holds {score}")


def band_faults(bands: Sequence[Band]) -> Iterator[Fault]:
    """Yield everything for which bands do not give each score from 0 to 1 one verdict."""
    if not bands:
        yield Fault("bands", "there are none; give at least Band('review', below=1.01)")
        return
    floor = 0.0
    for position, band in enumerate(bands):
        place = f"bands[{position}]"
        if not _is_name(band.verdict):
            yield Fault(place, f"the verdict {band.verdict!r} is not a name")
        if not math.isfinite(band.below):
            yield Fault(place, f"below={band.below} is not a finite number")
        elif band.below <= floor:
            yield Fault(
                place,
                f"below={band.below:g} is not above {floor:g}, where the band starts; sort the bands by `below`",
            )
        else:
            floor = band.below
    if floor <= 1.0:
        yield Fault(
            "bands",
            f"scores from {floor:g} to 1 have no band; the last `below` must be above 1, e.g. 1.01",
        )


def _is_name(verdict: object) -> bool:
    return isinstance(verdict, str) and bool(verdict)

"""A comparison as SVG: rates with intervals by segment, the scores of both sides, and verdict against verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from opsrail.lab.comparison import Comparison, Scores
from opsrail.lab.rates import Rate
from opsrail.lab.said import PEOPLE
from opsrail.lab.segments import SegmentRate

WIDTH, MARGIN, HEAD = 1000, 28, 92
"""Pixels: of the picture, around its parts, and of what stands above them."""
NAMES, RATES, ROW = 190, 250, 24
"""Pixels: of the segments' names, of the rates' axis, and from one segment to the next."""
RIGHT, SCORES, GAP = 620, 210, 34
"""Pixels: where the right half begins, how high its upper part is, and what is between it and the lower one."""
CELL = 46
MOST_SEGMENTS = 16
BINS = 25
INK, PALE, GRID, MINE, THEIRS, WORSE = (
    "#1b2430",
    "#5b6672",
    "#dfe4ea",
    "#0b5cad",
    "#c2570c",
    "#b3261e",
)
SIDES = (MINE, THEIRS, "#1f7a3f", "#6b3fa0", PALE)
FONT = "font-family='system-ui, -apple-system, Segoe UI, Roboto, sans-serif'"


def draw(found: Comparison) -> str:
    """Return the picture as an SVG document of its own."""
    shown = [one for one in found.disagreement.segments if one.p_value is not None][:MOST_SEGMENTS]
    left = ROW * (len(shown) + 2) + 60
    right = SCORES + GAP + CELL * (len(found.disagreement.confusion.verdicts) + 1) + 40
    height = HEAD + max(left, right) + MARGIN
    title = f"{found.mine.name} against {found.theirs.name} at {found.point}"
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}' "
        f"role='img' {FONT} font-size='13' fill='{INK}'>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>",
        _text(MARGIN, 34, title, size=18, weight=600),
        _text(MARGIN, 58, _headline(found), fill=PALE),
        f"<g transform='translate({MARGIN} {HEAD})'>",
        *_rates(found.disagreement.rate, shown),
        "</g>",
        f"<g transform='translate({RIGHT} {HEAD})'>",
        *_scores(found),
        "</g>",
        f"<g transform='translate({RIGHT} {HEAD + SCORES + GAP})'>",
        *_confusion(found),
        "</g>",
    ]
    return "\n".join([*parts, "</svg>\n"])


def _headline(found: Comparison) -> str:
    rate = found.disagreement.rate
    if rate.ratio is None:
        return f"Nothing to compare among {found.decisions:,} decisions."
    count = f"{rate.of:,} of {found.decisions:,} decisions"
    told = f"Disagreement {rate.ratio:.1%} ({rate.low:.1%} to {rate.high:.1%}) on {count}"
    kappa = found.disagreement.kappa
    beyond = (
        ""
        if kappa.value is None
        else f", kappa {kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f})"
    )
    return f"{told}{beyond}. Bars: 95% intervals; red: more than elsewhere."


def _rates(whole: Rate, shown: Sequence[SegmentRate]) -> Iterator[str]:
    """Yield how often they disagree, all together and by segment."""
    yield _text(0, 0, "Disagreement by segment", size=15, weight=600)
    end = _end([whole.high, *(one.rate.high for one in shown)])
    bottom = 34 + ROW * (len(shown) + 1)
    for tick in range(5):
        x = NAMES + RATES * tick / 4
        yield f"<line x1='{x:.1f}' y1='18' x2='{x:.1f}' y2='{bottom}' stroke='{GRID}'/>"
        told = f"{100 * end * tick / 4:.3g}%"
        yield _text(x, bottom + 16, told, fill=PALE, anchor="middle", size=11)
    if whole.ratio is not None:
        x = NAMES + RATES * min(1.0, whole.ratio / end)
        yield f"<line x1='{x:.1f}' y1='18' x2='{x:.1f}' y2='{bottom}' stroke='{PALE}' stroke-dasharray='3 4'/>"
    yield from _rate("all decisions", whole, 34, end, INK, f"{whole.of:,}")
    for place, one in enumerate(shown, 1):
        color = WORSE if one.is_worse else MINE
        told = f"{one.rate.of:,} more" if one.is_worse else f"{one.rate.of:,}"
        yield from _rate(
            f"{one.field} = {one.segment}", one.rate, 34 + ROW * place, end, color, told
        )
    if not shown:
        yield _text(0, bottom + 40, "No segment has enough decisions to be told apart.", fill=PALE)


def _rate(name: str, rate: Rate, y: float, end: float, color: str, told: str) -> Iterator[str]:
    low, high = (NAMES + RATES * min(1.0, share / end) for share in (rate.low, rate.high))
    yield _text(NAMES - 10, y + 4, _short(name, 28), anchor="end")
    yield f"<line x1='{low:.1f}' y1='{y}' x2='{high:.1f}' y2='{y}' stroke='{color}' stroke-width='3' stroke-opacity='0.45'/>"
    if rate.ratio is not None:
        x = NAMES + RATES * min(1.0, rate.ratio / end)
        yield f"<circle cx='{x:.1f}' cy='{y}' r='4' fill='{color}'/>"
    yield _text(NAMES + RATES + 10, y + 4, told, fill=color if "more" in told else PALE, size=11)


def _end(highs: Sequence[float]) -> float:
    """Return where the axis of the rates ends."""
    highest = max(highs)
    return next(
        end
        for end in (0.004, 0.02, 0.04, 0.08, 0.12, 0.2, 0.4, 0.6, 0.8, 1.0)
        if end >= min(highest, 1.0)
    )


def _scores(found: Comparison) -> Iterator[str]:
    """Yield the distribution of each side's scores, or of the version's by what people ruled."""
    is_people = found.theirs.name == PEOPLE
    title = f"Scores of {found.mine.name} by ruling" if is_people else "Scores"
    yield _text(0, 0, title, size=15, weight=600)
    told = [one for one in found.scores if len(one.values)][: len(SIDES)]
    if not told:
        yield _text(0, 30, "There are no scores to show.", fill=PALE)
        return
    width, top, bottom = WIDTH - RIGHT - MARGIN, 34, SCORES - 24
    shares = [np.histogram(one.values, BINS, (0.0, 1.0))[0] / len(one.values) for one in told]
    most = max(float(one.max()) for one in shares)
    for tick in range(5):
        x = width * tick / 4
        yield f"<line x1='{x:.1f}' y1='{top}' x2='{x:.1f}' y2='{bottom}' stroke='{GRID}'/>"
        yield _text(x, bottom + 16, f"{tick / 4:.2g}", fill=PALE, anchor="middle", size=11)
    for place, (one, share) in enumerate(zip(told, shares, strict=True)):
        yield _steps(share.tolist(), most, width, top, bottom, SIDES[place])
        yield from _legend(one, place, width / len(told) * place)
    if found.shift is not None:
        psi = "" if found.shift.psi is None else f", PSI {found.shift.psi:.3f}"
        yield _text(width, 0, f"KS {found.shift.ks:.3f}{psi}", fill=PALE, anchor="end", size=12)


def _steps(
    shares: Sequence[float], most: float, width: float, top: float, bottom: float, color: str
) -> str:
    """Return a histogram as one outline."""
    points = [f"0,{bottom}"]
    for place, share in enumerate(shares):
        y = bottom - (bottom - top) * share / most
        points += [f"{width * end / BINS:.1f},{y:.1f}" for end in (place, place + 1)]
    points.append(f"{width:.1f},{bottom}")
    return f"<polygon points='{' '.join(points)}' fill='{color}' fill-opacity='0.13' stroke='{color}' stroke-width='1.6'/>"


def _legend(one: Scores, place: int, x: float) -> Iterator[str]:
    yield f"<rect x='{x:.1f}' y='12' width='10' height='10' fill='{SIDES[place]}'/>"
    yield _text(x + 15, 21, f"{_short(one.name, 18)} ({len(one.values):,})", size=12)


def _confusion(found: Comparison) -> Iterator[str]:
    """Yield verdict against verdict; the darker, the more of its row."""
    table = found.disagreement.confusion
    yield _text(0, 0, "Verdict against verdict", size=15, weight=600)
    if not table.verdicts:
        yield _text(0, 30, "Nothing was compared.", fill=PALE)
        return
    is_people = found.theirs.name == PEOPLE
    names, wide = 120, min(78.0, (WIDTH - RIGHT - MARGIN - 120) / len(table.verdicts))
    yield _text(names, 24, f"{found.theirs.name}:", fill=PALE, size=12)
    yield _text(0, 24, f"{found.mine.name}:", fill=PALE, size=12)
    for column, verdict in enumerate(table.verdicts):
        yield _text(
            names + wide * (column + 0.5), 42, _short(verdict, 11), anchor="middle", size=12
        )
    for row, verdict in enumerate(table.verdicts):
        y, whole = 52 + CELL * row, max(1, sum(table.counts[row]))
        yield _text(0, y + CELL / 2 + 4, _short(verdict, 16), size=12)
        for column, count in enumerate(table.counts[row]):
            x, share = names + wide * column, count / whole
            color = (
                MINE
                if row == column
                else PALE
                if found.referred in (verdict, table.verdicts[column]) and is_people
                else THEIRS
            )
            yield (
                f"<rect x='{x:.1f}' y='{y}' width='{wide - 3:.1f}' height='{CELL - 3}' rx='3' fill='{color}' "
                f"fill-opacity='{0.06 + 0.5 * share:.2f}'/>"
            )
            yield _text(x + wide / 2 - 1, y + CELL / 2 + 3, f"{count:,}", anchor="middle")


def _text(
    x: float,
    y: float,
    text: str,
    *,
    fill: str = INK,
    anchor: str = "start",
    size: int = 13,
    weight: int = 400,
) -> str:
    """Return a line of text; what XML does not allow is taken out of it."""
    clean = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' fill='{fill}' text-anchor='{anchor}' font-size='{size}' "
        f"font-weight='{weight}'>{escape(clean)}</text>"
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"

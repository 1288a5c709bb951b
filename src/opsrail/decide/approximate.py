"""Contributions of a model that is a black box: estimated by replacing one feature after the other with its stand-in.

On a walk from the row to a row of stand-ins each feature is replaced once; what the score moves by is that feature's share
on this walk, so the shares of each walk sum exactly to score minus baseline. Their mean over walks in random order is an
estimate of the Shapley values; each order is walked backwards, too, which halves the error where features pair up.

Source:
    Castro, Gomez and Tejada 2009, Polynomial calculation of the Shapley value based on sampling, Computers & Operations
    Research 36; Mitchell et al. 2022, Sampling permutations for Shapley value estimation, JMLR 23, for the pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from opsrail.errors import ModelUnavailable, NotExplainable
from opsrail.ports import CellModel, ContributingModel, LoadedModel
from opsrail.values.explanations import Against, Contributions, log_odds

MOST_ROWS = 512
"""Rows that one explanation scores, at most. Ours: some ten batches of a decision."""
FEWEST_WALKS, MOST_WALKS = 2, 16
Row = Mapping[str, object]


def contributions_of(model: LoadedModel, row: Row) -> Contributions:
    """Return what each feature added to a row's score: exact where the model can tell, else estimated. Blocking.

    Raises:
        NotExplainable: the model cannot do without one of its features, so nothing can be estimated. Terminal.
        ModelUnavailable: it failed.
    """
    try:
        return _told_by(model, row)
    except ModelUnavailable:
        raise
    except Exception as fault:  # of the model's own code
        raise NotExplainable(
            f"model {model.digest} answers no row that lacks a feature ({type(fault).__name__}), so what each adds cannot "
            "be estimated; let its artifact tell typical rows"
        ) from fault


def _told_by(model: LoadedModel, row: Row) -> Contributions:
    if isinstance(model, ContributingModel) and (told := model.contributions([row])):
        return told[0]
    cells = model.cells().features if isinstance(model, CellModel) else {}
    names = [name for name in row if not cells or name in cells]
    return approximated(
        model, row, {name: cells[name].typical if cells else None for name in names}
    )


def approximated(model: LoadedModel, row: Row, stand_ins: Row) -> Contributions:
    """Return estimated contributions in log odds; the same for the same model and row. Blocking: asks one batch.

    Args:
        stand_ins: What stands for each feature when it is absent; features without one stay as they are. None is what a
            model takes for missing.

    Raises:
        InvalidInput: as `LoadedModel.score`.
    """
    names = list(stand_ins)
    against: Against = "missing" if None in stand_ins.values() else "reference"
    walks = list(_orders(names, f"{model.digest} {sorted(names)}"))
    rows: list[Row] = [row, {**row, **stand_ins}]  # first and last of every walk
    for walk in walks:
        rows += _between(row, stand_ins, walk)
    scores = [log_odds(score.value) for score in model.score(rows)]
    first, last, inner = scores[0], scores[1], iter(scores[2:])
    parts = dict.fromkeys(names, 0.0)
    for walk in walks:
        passed = [first, *(next(inner) for _ in walk[:-1]), last]
        for name, (before, after) in zip(walk, pairwise(passed), strict=True):
            parts[name] += (before - after) / len(walks)
    return Contributions("approximate", "log-odds", against, last, parts)


def _between(row: Row, stand_ins: Row, walk: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a walk between its first and its last."""
    current = dict(row)
    for name in walk[:-1]:
        current[name] = stand_ins[name]
        yield dict(current)


def _orders(names: Sequence[str], seed: str) -> Iterator[list[str]]:
    """Yield orders and their reverses, as many as fit the budget of rows; drawn from a digest, so that they repeat."""
    pairs = max(FEWEST_WALKS, min(MOST_WALKS, MOST_ROWS // max(len(names), 1))) // 2
    for number in range(pairs):
        drawn = {
            name: hashlib.sha256(f"{seed} {number} {name}".encode()).digest() for name in names
        }
        order = sorted(names, key=drawn.__getitem__)
        yield order
        yield order[::-1]

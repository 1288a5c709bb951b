"""A history judged again by another policy, or by another model's scores: over arrays, with nothing behind them.

from opsrail.lab import backtest
print(backtest({"score": scores, "verdict": verdicts}, "approve:0.03,review:1.01").changed)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from opsrail.errors import Fault, InvalidInput, MissingExtra
from opsrail.lab.backtested import Backtest, Wrong
from opsrail.values.bands import bands_of

if TYPE_CHECKING:
    import pyarrow

    from opsrail.decide.point import DecisionPoint
    from opsrail.lab.judging import DataPolicy

MOST_FAULTS = 20
PACKAGES = ("numpy", "pyarrow", "scipy", "yaml")


def backtest(
    history: pyarrow.Table | Mapping[str, Sequence[Any]],
    policy: DataPolicy | str,
    *,
    scores: Sequence[float] | None = None,
    is_unknown: Sequence[bool] | None = None,
    segments: Sequence[str] = (),
    wrongs: Sequence[Wrong | str] = (),
    handling_s: float | None = None,
    usd_per_hour: float | None = None,
) -> Backtest:
    """Return what another policy says of decisions that were made, and what that changes.

    Args:
        history: Columns, as `opsrail.lab.history.history` gives them; at least `score` (float, null or NaN: none) and
            `verdict` (text). Without `policy_source` all verdicts count as those of bands, not of rules. What turned out
            stands in columns named as the outcome (float; null or NaN: not known), `ratio` beside (1 where it is missing).
        policy: Bands as `approve=0.03,review=1.01` (the rest as recorded), or `policy_of` a YAML text.
        scores: Of another model, in [0, 1], NaN where it has none, as long; None: the recorded ones.
        is_unknown: Where those rest on values the model was never trained on.
        segments: Columns, or fields of the request, to tell apart by.
        wrongs: What counts as wrong, e.g. `approve|fraud=500`: approved and it was fraud, 500 USD each; `decline|not fraud`.
        handling_s: Of one review, seconds; None: the mean of `reviewed_s`.
        usd_per_hour: Of a reviewer.

    Raises:
        InvalidInput: bands, wrongs or conditions make no sense for these columns, or a score or ratio is out of its range.
            Terminal.
        MissingExtra: pip install 'opsrail[lab]'.
    """
    check_packages()
    import numpy as np

    from opsrail.lab.counting import Counting
    from opsrail.lab.judging import judged

    table = _judgeable(history)
    told = bands_policy(policy) if isinstance(policy, str) else policy
    kinds = {name: table.schema.field(name).type for name in table.column_names}
    check_conditions(told, kinds, segments)
    wrong = [wrong_of(one) if isinstance(one, str) else one for one in wrongs]
    given, unknown = _given(table, scores, is_unknown)
    _check_range("scores" if scores is not None else "score", given, given < 0)
    found = judged(told, table, given, unknown)
    counting = Counting(
        segments, wrong, review=told.review, handling_s=handling_s, usd_per_hour=usd_per_hour
    )
    has_score = int(np.count_nonzero(~np.isnan(given)))
    origin = "recorded" if scores is None else "model"
    counting.add(
        table,
        found.verdicts,
        scores_from={origin: has_score, "none": table.num_rows - has_score},
        outcomes={one.outcome: _outcome(table, one.outcome) for one in wrong},
    )
    return counting.result()


def _given(
    table: pyarrow.Table, scores: Sequence[float] | None, is_unknown: Sequence[bool] | None
) -> tuple[Any, Any]:
    """Return the scores to judge, and where they rest on unknown values; the recorded ones where none are given."""
    import numpy as np

    if scores is None:
        return recorded_scores(table), recorded_unknown(table)
    given = np.asarray(scores, np.float64)
    unknown = np.zeros(len(given), bool) if is_unknown is None else np.asarray(is_unknown)
    if len(given) != table.num_rows or len(unknown) != table.num_rows:
        fault = Fault("scores", f"has {len(given)} values for {table.num_rows} decisions")
        raise InvalidInput("scores and history do not belong together", [fault])
    return given, unknown


def bands_policy(text: str) -> DataPolicy:
    """Return a policy that changes the bands alone, from `approve:0.03,review:1.01`.

    Raises:
        InvalidInput: all that is wrong with it. Terminal.
    """
    from opsrail.lab.judging import DataPolicy

    return DataPolicy(bands_of(text))


def wrong_of(text: str) -> Wrong:
    """Return what counts as wrong, from `approve|fraud=500` or `decline|not fraud`.

    Raises:
        InvalidInput: it is not written so. Terminal.
    """
    what, _, cost = text.partition("=")
    verdict, bar, outcome = (part.strip() for part in what.partition("|"))
    is_true = not outcome.startswith("not ")
    name = outcome if is_true else outcome.removeprefix("not ").strip()
    try:
        cost_usd = float(cost) if cost else 0.0
    except ValueError:
        cost_usd = -1.0
    if not (verdict and bar and name) or name == "not" or not 0 <= cost_usd < float("inf"):
        fault = Fault("wrong", f"{text!r} is not VERDICT|OUTCOME or VERDICT|not OUTCOME, with =USD")
        raise InvalidInput("what counts as wrong cannot be read", [fault])
    return Wrong(verdict, name, is_true, cost_usd)


def check_conditions(
    policy: DataPolicy, kinds: Mapping[str, Any], segments: Sequence[str] = ()
) -> None:
    """Refuse conditions on fields that no request has, or on values of another kind, and such segments.

    Args:
        kinds: Type of each column of the history.

    Raises:
        InvalidInput: all of them. Terminal.
    """
    from opsrail.lab.conditions import column_of, comparisons_of, misfit

    found = []
    for number, condition in enumerate(policy.conditions):
        for test in comparisons_of(condition):
            fault = misfit(test, kinds)
            if fault is not None:
                path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in test.place)
                place = path.lstrip(".") or f"rules[{number}]"
                found.append(Fault(f"{place}.{fault.place}", fault.message))
    known = sorted(name.partition(".")[2] for name in kinds if name.startswith("facts."))
    found += [
        Fault("segments", f"{name!r} stands in no request; there are: {', '.join(known)}")
        for name in segments
        if name not in kinds and column_of(list(kinds), name) is None
    ]
    if found:
        raise InvalidInput("what is asked does not fit this history", found)


def policy_of_code(point: DecisionPoint[Any], bands: DataPolicy | None = None) -> DataPolicy:
    """Return the policy of a point's code as data; rules and fallback said what was recorded, while the code is the same.

    Args:
        bands: Other bands; None: the code's own.
    """
    from opsrail.lab.judging import DataPolicy

    policy = point.policy
    return DataPolicy(
        policy.bands if bands is None else bands.bands,
        on_unknown=policy.on_unknown,
        on_error=policy.on_error,
        review=policy.review,
    )


def recorded_scores(table: pyarrow.Table) -> Any:
    """Return the recorded scores, float64 [rows]; NaN: there is none."""
    import numpy as np
    import pyarrow.compute as compute

    return np.asarray(compute.fill_null(table.column("score"), float("nan")))


def recorded_unknown(table: pyarrow.Table) -> Any:
    """Return where recorded scores rest on values the model was never trained on, bool [rows]."""
    import numpy as np

    return np.asarray(table.column("unknown_count")) > 0


def own_verdicts(table: pyarrow.Table) -> pyarrow.Table:
    """Return a history whose `verdict` is policy's own, also where a person was to decide."""
    import pyarrow.compute as compute

    if "proposed" not in table.column_names:
        return table
    own = compute.coalesce(table.column("proposed"), table.column("verdict"))
    return table.drop_columns(["verdict"]).append_column("verdict", own)


def _judgeable(history: pyarrow.Table | Mapping[str, Sequence[Any]]) -> pyarrow.Table:
    """Return a history with every column that judging asks for, the request's fields as `facts.NAME`."""
    import pyarrow

    table = history if isinstance(history, pyarrow.Table) else pyarrow.table(dict(history))
    missing = [name for name in ("score", "verdict") if name not in table.column_names]
    if missing:
        faults = [Fault(name, "is not among the columns") for name in missing]
        raise InvalidInput("this is no history to judge again", faults)
    for name in ("facts", "views"):
        if name in table.column_names and pyarrow.types.is_struct(table.schema.field(name).type):
            inside = pyarrow.table({name: table.column(name)}).flatten()
            table = table.drop_columns([name])
            for field in inside.column_names:
                table = table.append_column(field, inside.column(field))
    score = table.column("score").cast(pyarrow.float64())
    table = table.drop_columns(["score"]).append_column("score", score)
    count = table.num_rows
    usual: dict[str, Any] = {"policy_source": "band", "policy_code": "", "unknown_count": 0}
    for name, value in usual.items():
        if name not in table.column_names:
            table = table.append_column(name, pyarrow.repeat(value, count))
    return own_verdicts(table)


def _outcome(table: pyarrow.Table, name: str) -> tuple[Any, Any]:
    """Return what turned out of each row (NaN: not known), and the probability with which it was looked at."""
    import numpy as np
    import pyarrow
    import pyarrow.compute as compute

    if name not in table.column_names:
        fault = Fault(name, "is not among the columns")
        raise InvalidInput("what turned out is not told", [fault])
    values = compute.fill_null(table.column(name).cast(pyarrow.float64()), float("nan"))
    if "ratio" not in table.column_names:
        return np.asarray(values), np.ones(table.num_rows)
    told = compute.fill_null(table.column("ratio").cast(pyarrow.float64()), 1.0)
    ratios = np.nan_to_num(np.asarray(told), nan=1.0)
    _check_range("ratio", ratios, ratios <= 0)
    return np.asarray(values), ratios


def _check_range(name: str, values: Any, is_below: Any) -> None:
    """Refuse values above 1 and those that are too low; the first ones are told."""
    import numpy as np

    places = np.flatnonzero(is_below | (values > 1))
    if len(places):
        told = [Fault(f"{name}[{place}]", f"{values[place]:g}") for place in places[:MOST_FAULTS]]
        raise InvalidInput(f"{len(places)} values of {name} are not between 0 and 1", told)


def check_packages() -> None:
    """Raise MissingExtra when a package that the lab computes with is not installed."""
    if any(find_spec(name) is None for name in PACKAGES):
        raise MissingExtra("A backtest", "lab")

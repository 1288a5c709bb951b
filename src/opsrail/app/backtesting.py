"""A point's history, judged again: what `opsrail lab backtest` and the job of that name both do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints

from opsrail.app.wired import App
from opsrail.app.work import FIELD, MODEL, POINT, Bench, Made, Part
from opsrail.errors import Fault, InvalidInput, UnknownName

if TYPE_CHECKING:
    from opsrail.decide.point import DecisionPoint
    from opsrail.lab.backtested import Backtest
    from opsrail.lab.judging import DataPolicy

DAY_MS = 86_400_000
BAND = r"[^,:=\x00-\x20\x7f-\xa0]{1,64}[:=][0-9]{1,3}(?:\.[0-9]{1,12})?"
PARQUET = "application/vnd.apache.parquet"
Usd = Annotated[float, Field(ge=0, le=1e6)]


@dataclass(frozen=True)
class Asked:
    """What is to be tried on a point's history.

    Attributes:
        policy: As data; None: `bands`, or what the point's code says.
        bands: Other bands, all else as recorded or, with `point_code`, as the code says.
        point_code: The point as the code has it; its policy stands where `policy` is None.
        changed: Where decisions are listed whose verdict changes.
    """

    point: str
    model: tuple[str, int] | None
    policy: DataPolicy | None
    bands: str | None
    point_code: DecisionPoint[Any] | None
    back_ms: int
    segments: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    review_s: float | None = None
    usd_per_hour: float | None = None
    changed: Path | None = None


class BacktestWish(Part):
    """What a job of this kind is asked; one of `policy`, `bands` and `is_code_policy`, or the last two together."""

    model: Annotated[
        str | None,
        StringConstraints(pattern=f"^{MODEL}$"),
        Field(description="Scores of this version; null: as recorded"),
    ] = None
    policy: Annotated[
        str | None, Field(max_length=200_000, description="A policy as data, YAML or JSON text")
    ] = None
    bands: Annotated[
        str | None,
        StringConstraints(pattern=f"^{BAND}(,{BAND}){{0,49}}$"),
        Field(description="E.g. `approve:0.03,review:1.01`"),
    ] = None
    is_code_policy: Annotated[bool, Field(description="The policy of the point's code")] = False
    days: Annotated[float, Field(gt=0, le=36_500, description="How far back")] = 90.0
    segments: Annotated[
        list[Annotated[str, StringConstraints(pattern=f"^{FIELD}$")]],
        Field(
            max_length=20,
            description="Request fields to tell decisions apart by",
            default_factory=list,
        ),
    ]
    wrong: Annotated[
        list[Annotated[str, Field(max_length=300)]],
        Field(
            max_length=20,
            description="E.g. `approve|fraud=2500`, `decline|not fraud`",
            default_factory=list,
        ),
    ]
    review_s: Annotated[float | None, Field(gt=0, le=1e6, description="Of one review")] = None
    usd_per_hour: Annotated[Usd | None, Field(description="Of a reviewer")] = None
    lists_changed: Annotated[
        bool, Field(description="Whether decisions whose verdict changes are listed in a file")
    ] = False

    def check(self) -> None:
        """Refuse a wish that does not say which policy. Raises InvalidInput."""
        given = [self.policy is not None, self.bands is not None, self.is_code_policy]
        if not any(given) or (given[0] and sum(given) > 1):
            told = "give `policy` alone, or `bands`, `is_code_policy` or both of these"
            raise InvalidInput("which policy is not said", [Fault("policy", told)])


class BacktestJob(BacktestWish):
    """The same, of a point."""

    point: Annotated[str, StringConstraints(pattern=f"^{POINT}$")]


async def backtest_job(app: App, wish: BacktestJob, bench: Bench) -> Made:
    """Do a job of this kind."""
    from opsrail.lab.policy_file import policy_of
    from opsrail.lab.whatif import check_packages
    from opsrail.values.versions import version_of

    check_packages()
    wish.check()
    changed = bench.desk / "changed.parquet" if wish.lists_changed else None
    asked = Asked(
        wish.point,
        None if wish.model is None else version_of(wish.model),
        None if wish.policy is None else policy_of(wish.policy)[0],
        wish.bands,
        point_in(app, wish.point) if wish.is_code_policy else app.definitions.points.get(wish.point),
        round(wish.days * DAY_MS), tuple(wish.segments), tuple(wish.wrong), wish.review_s,
        wish.usd_per_hour, changed,
    )  # fmt: skip
    if wish.bands is not None and not wish.is_code_policy:
        asked = recorded_rules(asked)
    found = await backtested(
        app, asked, bench.data, lambda done, total: bench.tick(done, total, "decisions")
    )
    return Made({"backtest": record_of(asked, found)}, changed, PARQUET)


async def backtested(
    app: App, asked: Asked, data: Path, told: Callable[[int, int], None]
) -> Backtest:
    """Judge a history again; what was read and scored is kept beside the database, so that the same question goes on.

    Args:
        data: Folder of the installation.
        told: Called with the decisions judged so far, and how many there may be.

    Raises:
        InvalidInput: bands, wrongs, segments or the policy do not fit. Terminal.
        NotFound: there is no such model version. Terminal.
        ModelUnavailable: the model cannot be loaded, or failed.
    """
    from opsrail.app.building import DATABASE
    from opsrail.app.columns_apart import ColumnsApart
    from opsrail.lab.backtester import Backtester, Question
    from opsrail.lab.places import COPIES
    from opsrail.lab.whatif import wrong_of
    from opsrail.values.decisions import DecisionRow
    from opsrail.values.rows import equals

    policy, code = _policy(asked)
    until_ms = await app.store.now_ms() + 1
    segments = asked.segments or tuple(getattr(asked.point_code, "segments", ()))
    question = Question(
        asked.point, policy, max(0, until_ms - asked.back_ms), until_ms, code=code,
        model=None if asked.model is None else await app.registry.version(*asked.model),
        segments=segments, wrongs=tuple(map(wrong_of, asked.wrong)), handling_s=asked.review_s,
        usd_per_hour=asked.usd_per_hour, changed=asked.changed,
    )  # fmt: skip
    total = (await app.store.count(DecisionRow, *equals(point=asked.point))).get((), 0)
    apart = ColumnsApart(app.config.store.url, data / DATABASE)
    with closing(apart):
        tester = Backtester(
            app.store, app.registry, question, data / COPIES,
            lambda done: told(done, max(done, total)), apart,
        )  # fmt: skip
        return await tester.run()


def point_in(app: App, name: str) -> DecisionPoint[Any]:
    """Return a decision point of the code. Raises UnknownName."""
    point = app.definitions.points.get(name)
    if point is None:
        files = ", ".join(app.definitions.files) or "no file"
        raise UnknownName(f"{files} defines no decision point {name!r}")
    return point


def recorded_rules(asked: Asked) -> Asked:
    """Return the question without the code: rules stand as they were recorded, segments as the code has them."""
    from dataclasses import replace

    segments = asked.segments or tuple(getattr(asked.point_code, "segments", ()))
    return replace(asked, segments=segments, point_code=None)


def record_of(asked: Asked, found: Backtest) -> dict[str, Any]:
    """Return a back-test as plain JSON values."""
    model = None if asked.model is None else "{}/{}".format(*asked.model)
    return {"point": asked.point, "model": model, **found.record()}


def _policy(asked: Asked) -> tuple[DataPolicy, DecisionPoint[Any] | None]:
    """Return the policy that judges, and the code whose rules are asked row by row where other code decided."""
    from opsrail.lab.whatif import bands_policy, policy_of_code

    if asked.policy is not None:
        return asked.policy, None
    bands = None if asked.bands is None else bands_policy(asked.bands)
    if asked.point_code is not None:
        return policy_of_code(asked.point_code, bands), asked.point_code if bands is None else None
    return bands_policy(asked.bands or ""), None

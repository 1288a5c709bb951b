"""What the overview says: the board's rows and figures as texts, for one reader's scopes. Pure but for what it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from opsrail.decide.figures import Window
from opsrail.values.rollouts import AlarmRow, RolloutRunRow
from opsrail.web.console import words
from opsrail.web.console.board import MOST_ALARMS, MOST_WAITING, QueueFigures, Snapshot
from opsrail.web.console.charts import spark
from opsrail.web.console.recent import Lately, Recent
from opsrail.web.console.streams import Figures

WINDOWS = ("minute", "hour", "day")
COST_WINDOW_S = 300
STAGES_WINDOW_S = 60
WAITS = "not read yet"
Scopes = Collection[str] | None


class Overview(NamedTuple):
    """The page.

    Attributes:
        at_ms: When it was read, epoch ms.
        texts: Every figure that changes, by name.
        shape: Digest of which rows the tables have.
        parts: Rows of the tables; None: not read yet.
    """

    at_ms: int
    texts: Mapping[str, str]
    shape: str
    queues: Sequence[QueueFigures] | None
    alarms: Sequence[AlarmRow] | None
    rollouts: Sequence[RolloutRunRow] | None
    workers: Sequence[Any] | None
    processes: Sequence[Any]
    is_partial: bool
    sees_all: bool
    trouble: str

    def figures(self) -> Figures:
        """Return what a stream sends."""
        told = repr(sorted(self.texts.items())).encode() + self.shape.encode()
        return Figures(hashlib.blake2b(told, digest_size=8).hexdigest(), self.shape, self.texts)


def overview_of(
    found: Snapshot,
    recent: Recent,
    windows: Mapping[int, Window],
    processes: Sequence[Any],
    now_ms: int,
    scopes: Scopes = None,
) -> Overview:
    """Return the page for a reader.

    Args:
        windows: Figures of this process, by length in seconds; see `decide/figures.py`.
        scopes: Automations and decision points that may be seen; None: all.
    """
    queues = _seen(found.queues, scopes, "automation")
    alarms, rollouts = _seen(found.alarms, scopes, "point"), _seen(found.rollouts, scopes, "point")
    workers = found.workers if scopes is None else ()  # processes belong to no scope
    processes = processes if scopes is None else ()
    lately = recent.windows(now_ms, scopes)
    texts = {
        "at": words.utc(found.at_ms),
        "old": " (old)" if found.trouble else "",
        **_decided(lately),
        **_courses(recent, now_ms, scopes),
        **_cases(found.cases, scopes),
        **_process(windows, scopes),
        **_queue_texts(queues, now_ms, is_cut=found.is_cut),
        **_ledger(found, now_ms),
        **_worker_texts(workers, now_ms),
        "alarms": WAITS if alarms is None else _counted(alarms, found.alarms),
        "rollouts": WAITS if rollouts is None else str(len(rollouts)),
    }
    shape = _shape(found, queues, alarms, rollouts, workers, processes)
    return Overview(
        found.at_ms,
        texts,
        shape,
        queues,
        alarms,
        rollouts,
        workers,
        processes,
        not lately["day"].is_whole,
        scopes is None,
        found.trouble,
    )


def _shape(
    found: Snapshot, queues: Any, alarms: Any, rollouts: Any, workers: Any, processes: Any
) -> str:
    """Return a digest of which rows the tables have, whatever stands in those that change."""
    rows = [
        [queue[:2] for queue in queues or ()],
        [alarm.id for alarm in alarms or ()],
        [(run.id, run.step, run.state) for run in rollouts or ()],
        [worker.id for worker in workers or ()],
        [process[:6] for process in processes],
        [part is None for part in (queues, alarms, rollouts, workers, found.cases)],
        found.trouble,
    ]
    return hashlib.blake2b(repr(rows).encode(), digest_size=8).hexdigest()


def _seen(rows: Sequence[Any] | None, scopes: Scopes, name: str) -> list[Any] | None:
    if rows is None:
        return None
    return [row for row in rows if scopes is None or getattr(row, name) in scopes]


def _counted(shown: Sequence[Any], read: Sequence[Any] | None) -> str:
    """Return how many alarms somebody is shown, with a plus where more ring than were read."""
    return f"{len(shown)}{'+' if len(read or ()) == MOST_ALARMS else ''}"


def _decided(lately: Mapping[str, Lately]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name in WINDOWS:
        one = lately[name]
        spent = one.spent
        texts |= {
            f"{name}.decisions": words.number(one.decisions),
            f"{name}.per_s": _rate(one.per_s),
            f"{name}.automation": words.share(one.automation_ratio),
            f"{name}.fallback": words.share(one.fallback_ratio),
            f"{name}.kept": words.share(one.kept_ratio),
            f"{name}.p50": words.ABSENT if spent is None else words.span(spent.p50),
            f"{name}.p95": words.ABSENT if spent is None else words.span(spent.p95),
            f"{name}.p99": words.ABSENT if spent is None else words.span(spent.p99),
            f"{name}.length": "whole" if one.is_whole else f"last {words.span(1000 * one.seconds)}",
        }
    return texts


def _rate(per_s: float) -> str:
    """Return a rate that stays readable when it is small: `0.04/s` says less than `2.4/min`."""
    if per_s >= 1 or per_s == 0:
        return f"{per_s:,.1f}/s" if per_s else "0/s"
    return f"{60 * per_s:,.1f}/min" if per_s >= 1 / 60 else f"{3600 * per_s:,.1f}/h"


def _courses(recent: Recent, now_ms: int, scopes: Scopes) -> dict[str, str]:
    texts = {}
    for name in ("hour", "day"):
        course = recent.course(name, now_ms, scopes)
        most = max((decisions for _, decisions, _ in course), default=0)
        texts[f"{name}.course"] = spark([decisions for _, decisions, _ in course])
        texts[f"{name}.people"] = spark([people for _, _, people in course], most=most)
        texts[f"{name}.most"] = words.number(most)
    return texts


def _cases(cases: Mapping[str, int] | None, scopes: Scopes) -> dict[str, str]:
    if cases is None or scopes is not None:
        return dict.fromkeys(
            ("cases", "cases.ready", "cases.running", "cases.waiting", "cases.set_aside"),
            WAITS if scopes is None else words.ABSENT,
        )
    texts = {f"cases.{state}": words.number(count) for state, count in cases.items()}
    return {**texts, "cases": words.number(sum(cases.values()))}


def _process(windows: Mapping[int, Window], scopes: Scopes) -> dict[str, str]:
    """Return what this process alone can tell: what scores cost, and how long a decision takes with its record."""
    cost, stages = windows[COST_WINDOW_S], windows[STAGES_WINDOW_S]
    if scopes is not None:
        return dict.fromkeys(("cost.hour", "cost.thousand", "total.p50", "total.p99"), words.ABSENT)
    per_hour = 3600 * cost.cost_usd / cost.seconds if cost.seconds else None
    per_thousand = 1000 * cost.cost_usd / cost.decisions if cost.decisions else None
    total = stages.latency_ms.get("total")
    return {
        "cost.hour": words.usd(per_hour),
        "cost.thousand": words.usd(per_thousand),
        "total.p50": words.ABSENT if total is None else words.span(total.p50),
        "total.p99": words.ABSENT if total is None else words.span(total.p99),
    }


def _queue_texts(
    queues: Sequence[QueueFigures] | None, now_ms: int, *, is_cut: bool
) -> dict[str, str]:
    if queues is None:
        return {"waiting": WAITS, "overdue": WAITS}
    more = "+" if is_cut else ""
    texts = {
        "waiting": f"{MOST_WAITING:,}+" if is_cut else words.number(sum(q.waiting for q in queues)),
        "overdue": words.number(sum(queue.overdue for queue in queues)) + more,
    }
    for place, queue in enumerate(queues):
        texts |= {
            f"queue.{place}.waiting": words.number(queue.waiting) + more,
            f"queue.{place}.claimed": words.number(queue.claimed),
            f"queue.{place}.overdue": words.number(queue.overdue) + more,
            f"queue.{place}.oldest": words.span(max(0, now_ms - queue.oldest_ms)),
        }
    return texts


def _ledger(found: Snapshot, now_ms: int) -> dict[str, str]:
    checkpoint = found.checkpoint
    if checkpoint is None:
        return {"ledger.size": words.ABSENT, "ledger.age": words.ABSENT}
    return {
        "ledger.size": words.number(checkpoint.size),
        "ledger.age": words.span(max(0, now_ms - checkpoint.at_ms)),
    }


def _worker_texts(workers: Sequence[Any] | None, now_ms: int) -> dict[str, str]:
    return {
        f"worker.{place}.beat": words.span(max(0, now_ms - worker.heartbeat_at_ms))
        for place, worker in enumerate(workers or ())
    }

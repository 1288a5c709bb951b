"""How far a long command is: a bar on a terminal, else a line every few seconds; always on stderr."""

from __future__ import annotations

import sys
from typing import Any, Self

import click

from opsrail.clock import SystemClock

QUIET_S = 1.0
"""Nothing is shown for what takes less."""
LINE_EVERY_S = 5.0
BAR_EVERY_S = 0.1
STEADY_S = 3.0
"""Before that the time left is a guess about starting up."""


class Ticker:
    """Shows `done` of `total` and a few words, at most as often as an eye can follow.

    Args:
        what: What is counted.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._clock = SystemClock()
        self._is_terminal = sys.stderr.isatty()
        self._bar: Any = None
        self._task: Any = None
        self._begun_s = self._clock.monotonic_s()
        self._told_s = (
            self._begun_s + QUIET_S - (BAR_EVERY_S if self._is_terminal else LINE_EVERY_S)
        )
        self._begun_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tick(self, done: float, total: float, words: str = "") -> None:
        """Say how far it is.

        Args:
            words: What else is worth knowing.
        """
        now_s = self._clock.monotonic_s()
        if self._begun_at is None:
            self._begun_at = done
        if now_s - self._told_s < (BAR_EVERY_S if self._is_terminal else LINE_EVERY_S):
            return
        self._told_s = now_s
        if self._is_terminal:
            self._draw(done, total, words)
        else:
            click.echo(self._line(done, total, words, now_s - self._begun_s), err=True)

    def _line(self, done: float, total: float, words: str, spent_s: float) -> str:
        rate = (done - (self._begun_at or 0)) / spent_s if spent_s > 0 else 0.0
        is_steady = rate > 0 and spent_s >= STEADY_S
        left = f", {span((total - done) / rate)} left" if is_steady and done < total else ""
        return (
            f"{done:,.0f} of {total:,.0f} {self._what}, {rate:,.0f}/s{left}{words and f'; {words}'}"
        )

    def _draw(self, done: float, total: float, words: str) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.completed:,.0f} of {task.total:,.0f} {task.description}"),
                BarColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[words]}"),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(
                self._what, total=total, completed=done, rate="", words=words
            )
        speed = self._bar.tasks[0].speed
        rate = "" if speed is None else f"{speed:,.0f}/s"
        self._bar.update(self._task, completed=done, total=total, rate=rate, words=words)


def span(seconds: float) -> str:
    """Return a length of time for people, e.g. `1 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"

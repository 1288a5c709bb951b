"""What the demo shows: progress on standard error, the story on standard output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from examples.claims.payments import Book
from opsrail.cli.render import print_json
from opsrail.values.cases import CaseState

RATE_OVER_S = 300.0
"""Time over which rate and time left are reckoned: receipts make the pace uneven."""
Show = Callable[[Mapping[CaseState, int]], None]


class Screen:
    """A terminal, or none: then there is no progress, only the story.

    Args:
        folder: The installation's, for the commands it names.
        is_json: The story is one JSON object.
    """

    def __init__(self, folder: Path, *, is_json: bool) -> None:
        self._folder = folder
        self._is_json = is_json
        self._aside = Console(stderr=True, highlight=False)

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """Say what is done while the block runs."""
        if not self._aside.is_terminal:
            yield
            return
        with self._aside.status(f"{what} ..."):
            yield

    @contextmanager
    def progress(self) -> Iterator[Show]:
        """Show how cases go on; yields what to call with the number of cases in each state."""
        columns = (
            SpinnerColumn(),
            TextColumn("claims"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}/s"),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn(
                "waiting for people {task.fields[waiting]}  set aside {task.fields[set_aside]}"
            ),
        )
        with Progress(
            *columns,
            console=self._aside,
            disable=not self._aside.is_terminal,
            speed_estimate_period=RATE_OVER_S,
        ) as bar:
            task = bar.add_task("", total=None, rate="-", waiting=0, set_aside=0)

            def show(states: Mapping[CaseState, int]) -> None:
                speed = bar.tasks[0].speed
                bar.update(
                    task,
                    total=sum(states.values()) or None,
                    completed=states.get(CaseState.SETTLED, 0),
                    rate="-" if speed is None else f"{speed:.1f}",
                    waiting=states.get(CaseState.WAITING, 0),
                    set_aside=states.get(CaseState.SET_ASIDE, 0),
                )

            yield show

    def tell(self, story: Mapping[str, Any], book: Book) -> None:
        """Print the story."""
        if self._is_json:
            print_json(story)
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, value in lines_of(story, book):
            table.add_row(name, value)
        Console(highlight=False).print(table)
        if "loop" in story:
            self._tell_loop(story["loop"])
        waiting = story["cases"] - story["settled"] - story["set_aside"]
        if waiting:
            self._say(
                f"{waiting} claims wait for people: opsrail reviews list --data {self._folder}"
            )
        self._say(f"Look closer: opsrail cases list --data {self._folder}")

    def _tell_loop(self, loop: Mapping[str, Any]) -> None:
        """Print how the loop went."""
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, value in lines_of_loop(loop):
            table.add_row(name, value)
        console = Console(highlight=False)
        console.print("\nFrom shadow to live and back", style="bold")
        console.print(table)

    def serving(self, address: str, link: str) -> None:
        """Say where the console is, and how its owner signs in."""
        self._aside.print(f"Serving {address} until Ctrl-C. Sign in, once and within the hour:")
        self._aside.print(link, soft_wrap=True)

    def _say(self, text: str) -> None:
        self._aside.print(text, soft_wrap=True)


def lines_of(story: Mapping[str, Any], book: Book) -> list[tuple[str, str]]:
    """Return the story as names and sentences."""
    ms, model, ocr, ledger = story["decision_ms"], story["model"], story["ocr"], story["ledger"]
    again = (
        f"; {book.again_count} came again after a crash and paid nothing"
        if book.again_count
        else ""
    )
    return [
        (
            "claims",
            f"{story['settled']} of {story['cases']} settled, {story['set_aside']} set aside",
        ),
        (
            "people",
            f"ruled on {story['reviewed']} (simulated-desk, unless you did), {story['overridden']} against the policy",
        ),
        ("automation", f"{shown(story['automation_rate'])} settled without a person"),
        ("fraud", f"{shown(story['fraud_caught_rate'])} of the frauds not paid"),
        (
            "payments",
            f"{story['actions']['sent']} sent, {story['actions']['duplicates']} paid twice{again}",
        ),
        (
            "cost",
            f"{story['cost_per_1000_usd']:,.2f} USD a thousand claims, people's time included",
        ),
        (
            "speed",
            f"{story['cases_per_s']:.1f} claims/s; decisions p50 {ms['p50']}, p95 {ms['p95']}, p99 {ms['p99']} ms",
        ),
        ("receipts", f"{ocr['pages']} read, total right on {shown(ocr['total_accuracy'])}"),
        (
            "model",
            f"{model['name']}/{model['version']}, AUC {model['auc']} on 1996, {model['digest'][:19]}",
        ),
        (
            "ledger",
            f"{ledger['entries']} entries, {'verified' if ledger['verified'] else 'DOES NOT VERIFY'}",
        ),
    ]


def shown(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def lines_of_loop(loop: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the loop's story as names and sentences."""
    observed, tuned, live = loop["observed"], loop["tuned"], loop["automated"]
    replay = loop["replay"]
    same = "bit-equal" if replay["is_same"] else "NOT THE SAME: " + " ".join(replay["differences"])
    return [
        (
            "observed",
            f"{observed['claims']:,} claims of 1995: people decided, {observed['model']} (trained on 1994) predicted; "
            f"{observed['frauds']} were fraud",
        ),
        (
            "tuned",
            f"at most {tuned['risk'].split()[-1]} fraud among auto-approved, {tuned['confidence']:.0%} sure: approve below "
            f"{tuned['approve_below']:.4f} automates {shown(tuned['automated_ratio'])} "
            f"(counted {shown(tuned['counted_ratio'])} fraud, bound {shown(tuned['bound_ratio'])})",
        ),
        ("approved", f"by {' and '.join(tuned['approved_by'])}, as change {tuned['change']}"),
        (
            "automated",
            f"{shown(live['approved_ratio'])} of {live['decisions']:,} decisions on 1996, "
            f"{shown(live['fraud_ratio'])} of those fraud",
        ),
        ("canary", _rollout(loop["canary"])),
        ("bad version", _rollout(loop["bad"])),
        (
            "replay",
            f"decision {replay['decision']}: score {replay['score']}, {replay['verdict']}: {same}",
        ),
    ]


def _rollout(told: Mapping[str, Any]) -> str:
    after = f"after {told['took_s']} s, at step {min(told['step'] + 1, told['steps'])} of {told['steps']}"
    why = f": {told['why']}" if told["why"] else ""
    return f"{told['model']} against {told['champion']}: {told['state']} {after}{why}"

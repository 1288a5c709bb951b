"""One stretch of a case: the author's function, run once, and what came of it."""

from __future__ import annotations

import asyncio
from typing import Any

from opsrail.cases.context import Case
from opsrail.cases.definition import Automation
from opsrail.cases.ending import Ending, Failed, Parked, Settled
from opsrail.cases.signals import Interrupted, Suspended
from opsrail.errors import NondeterministicJournal, NotDurable, SwallowedSuspension
from opsrail.values.cases import CaseRow


async def run_stretch(
    automation: Automation[Any, Any], row: CaseRow, case: Case, *, is_strict: bool
) -> Ending:
    """Run the function and say how it ended.

    Args:
        is_strict: A call that blocked the event loop fails the case.

    Raises:
        Interrupted: the worker cannot write the case down now.
    """
    try:
        result = await automation.function(case, automation.read(row.input))
        case.journal.check_whole()
        return (
            Failed(case.journal.broken)
            if case.journal.broken
            else _returned(automation, case, result, is_strict)
        )
    except Suspended:
        return _parked(case)
    except BaseExceptionGroup as group:
        return _grouped(group, case)
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        return Failed(
            RuntimeError(
                "the code let a cancellation out that nobody asked for; catch it where it arises"
            )
        )
    except Exception as error:
        return Failed(case.journal.broken or error)


def _parked(case: Case) -> Ending:
    case.journal.check_whole()
    return Failed(case.journal.broken) if case.journal.broken else Parked(*case.waits_for)


def _returned(
    automation: Automation[Any, Any], case: Case, result: object, is_strict: bool
) -> Ending:
    if case.is_suspended:
        raise SwallowedSuspension(
            f"{_place_of(automation)} went on after case.review or case.sleep wanted to park: an `except:` or "
            f"`except BaseException:` caught the signal. Catch `Exception` instead, or re-raise what you did not expect"
        )
    if left := case.journal.unfinished():
        raise NondeterministicJournal(
            f"{_place_of(automation)} returned while these calls were not awaited, or skipped what it did when it first "
            f"ran: {', '.join(left)}. Await every case call, and let the path depend on the input and on what calls "
            f"returned only"
        )
    if case.journal.blocked is not None and is_strict:
        raise case.journal.blocked
    if not isinstance(result, automation.outcome):
        raise NotDurable(
            f"{_place_of(automation)} returned {type(result).__name__}; it must return {automation.outcome.__name__}"
        )
    return Settled(result.model_dump_json())


def _place_of(automation: Automation[Any, Any]) -> str:
    code = getattr(automation.function, "__code__", None)
    place = "" if code is None else f" ({code.co_filename}:{code.co_firstlineno})"
    return f"{getattr(automation.function, '__name__', automation.name)}{place}"


def _grouped(group: BaseExceptionGroup[BaseException], case: Case) -> Ending:
    """Say how a stretch ended whose task group collected several endings at once."""
    interrupted, rest = group.split(Interrupted)
    if interrupted is not None:
        raise interrupted.exceptions[0]
    failed = None if rest is None else rest.split(Suspended)[1]
    if failed is None:
        return _parked(case)
    first = failed.exceptions[0]
    return Failed(
        case.journal.broken
        or (first if isinstance(first, Exception) else RuntimeError(repr(first)))
    )

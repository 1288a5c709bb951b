"""Every error opsrail raises, by consequence.

The middle layer says what the caller can do about it; leaves name the subject. No HTTP here: `web/problems.py` maps
them.

    OpsrailError
    |-- Terminal                trying again cannot help: change the call, the file or the code
    |   |-- InvalidInput        a value from outside is wrong; carries every fault found, with its place
    |   |-- NotFound            nothing has that id
    |   |-- OutOfTime           a moment contradicts what is recorded
    |   |-- Contradictory       parts that are each well-formed contradict each other, the code or the store
    |   |-- ConfigInvalid       a setting is unknown, out of bounds or contradicts another
    |   |-- MissingExtra        an optional package is not installed
    |   |-- AuthorError         the automation's own code breaks a rule of the road
    |   |   |-- SwallowedSuspension
    |   |   |-- NondeterministicJournal
    |   |   |-- UnknownName
    |   |   |-- NotDurable
    |   |   `-- BlockedLoop
    |   |-- StepFailed          a step used up its attempts
    |   |-- NotExplainable      a decision's record does not tell what was asked for
    |   |-- ArtifactRefused     a model or document is damaged, tampered with or not allowed
    |   |-- LedgerBroken        the audit book does not verify
    |   |-- WeakDurability      the database's settings cannot keep what is promised
    |   `-- SchemaMismatch      the database was written by a newer opsrail, or is not one of ours
    |-- Retryable               the same call may succeed later
    |   |-- Overloaded          admission is full; carries after_s
    |   |-- TimedOut            an attempt ran past its limit
    |   `-- ReaderCrashed       the document reader's process died
    |-- Conflict                somebody else was first
    |   |-- KeyReused           the idempotency key came with another body
    |   |-- InFlight            the twin of this request is still running
    |   |-- AlreadyRuled        the review has its ruling, or another person holds it
    |   |-- StaleWrite          a row was not as the writer last saw it
    |   `-- DataDirInUse        another process runs on the same folder
    |-- Denied                  not allowed
    `-- Unavailable             a part is down now; the road degrades or answers 503
        |-- FeaturesUnavailable another system that a view's values are asked of
        |-- ReadOnly            the ledger waits for an operator
        |-- ModelUnavailable
        |   |-- ModelCrashed        its process died under the request
        |   |-- ModelStarting       its process is being started
        |   `-- ModelQuarantined    its process died too often and is left alone
        |-- DeadlinePassed
        |-- StoreUnavailable
        `-- Fenced              this worker was declared dead; another owns its cases
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input.

    Attributes:
        place: Where: a field path (`claim.age`), a line (`line 17`), a setting (`decide.deadline_ms`).
        message: What is wrong and what would be right.
    """

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class OpsrailError(Exception):
    """Root of all errors that opsrail raises on purpose."""

    code = "error"


class Terminal(OpsrailError):
    """Trying again cannot help."""

    code = "terminal"


class Retryable(OpsrailError):
    """The same call may succeed later; `after_s` says when to try, if known."""

    code = "retryable"

    def __init__(self, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class Conflict(OpsrailError):
    """Somebody else was first."""

    code = "conflict"


class Denied(OpsrailError):
    """The caller may not do this."""

    code = "denied"


class Unavailable(OpsrailError):
    """A part is down now."""

    code = "unavailable"

    def __init__(self, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class InvalidInput(Terminal):
    """A value from outside is wrong. Terminal: fix every fault listed and send it again."""

    code = "invalid-input"

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        self.faults = tuple(faults)
        listed = "".join(f"\n  {fault}" for fault in self.faults)
        super().__init__(message + listed)
        self.summary = message


class NotFound(Terminal):
    """Nothing has that id. Terminal: look the id up with the matching `list` command."""

    code = "not-found"


class OutOfTime(InvalidInput):
    """A moment contradicts what is recorded, or has not come. Terminal: nothing was written; say another moment."""

    code = "out-of-time"


class Contradictory(InvalidInput):
    """Each part fits its description, but they contradict each other, or the code. Terminal: mend every fault listed."""

    code = "contradictory"


class ConfigInvalid(InvalidInput):
    """A setting is unknown, out of bounds or contradicts another. Terminal: nothing was started."""

    code = "config-invalid"


class MissingExtra(Terminal):
    """An optional package is not installed. Terminal: run the `pip install` line in the message."""

    code = "missing-extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs packages that are not installed; run: pip install 'opsrail[{extra}]'"
        )
        self.extra = extra


EXTRA_OF = {
    "cv2": "documents",
    "duckdb": "lab",
    "grpc": "grpc",
    "httpx": "remote",
    "numpy": "lab",
    "onnxruntime": "models",
    "PIL": "documents",
    "psycopg": "postgres",
    "pyarrow": "lab",
    "scipy": "lab",
    "yaml": "lab",
}
"""The extra that brings a package, for those that a part asks for without having looked whether it is there."""


def missing_extra(error: Exception, what: str) -> MissingExtra | None:
    """Return what an import that failed means; None: it is no package of an extra, so it is a fault of its own.

    Args:
        what: Who needs it.
    """
    if not isinstance(error, ModuleNotFoundError):
        return None
    extra = EXTRA_OF.get((error.name or "").partition(".")[0])
    return None if extra is None else MissingExtra(what, extra)


class AuthorError(Terminal):
    """The automation's own code breaks a rule of the road. Terminal: the case is set aside until the code is fixed."""

    code = "author-error"


class SwallowedSuspension(AuthorError):
    """Author code caught the signal that parks a case. Terminal: let it pass, then `opsrail cases retry`."""

    code = "swallowed-suspension"


class NondeterministicJournal(AuthorError):
    """The code took another path than the journal records. Terminal: make the path depend on journaled values only."""

    code = "nondeterministic-journal"


class UnknownName(AuthorError):
    """A row or call names an automation, action or decision point that the code does not define. Terminal."""

    code = "unknown-name"


class NotDurable(AuthorError):
    """A value cannot be written to the journal and read back the same. Terminal: return plain values or a pydantic model."""

    code = "not-durable"


class BlockedLoop(AuthorError):
    """Author code blocked the event loop. Terminal: make the step a plain `def` (it runs in a thread) or await."""

    code = "blocked-loop"


class StepFailed(Terminal):
    """A step used up its attempts. Terminal for the step; the author may catch it, else the case is tried again."""

    code = "step-failed"


class NotExplainable(Terminal):
    """A decision cannot be explained so: it rests on no score, or the code here is not the code that made it."""

    code = "not-explainable"


class ArtifactRefused(Terminal):
    """A model or document is damaged, tampered with or not allowed. Terminal: nothing was loaded."""

    code = "artifact-refused"


class LedgerBroken(Terminal):
    """The audit book does not verify. Terminal: stop, keep the file, compare with an external checkpoint."""

    code = "ledger-broken"


class WeakDurability(Terminal):
    """The database's settings cannot keep what is promised. Terminal: nothing ran; mend them, or accept the loss."""

    code = "weak-durability"


class SchemaMismatch(Terminal):
    """The database was written by a newer opsrail, or is not one of ours. Terminal: nothing was changed."""

    code = "schema-mismatch"


class Overloaded(Retryable):
    """Admission is full. Retry after `after_s`; nothing was accepted."""

    code = "overloaded"


class TimedOut(Retryable):
    """An attempt ran past its limit. Retried by policy; what it did outside may have happened."""

    code = "timed-out"


class ReaderCrashed(Retryable):
    """The document reader's process died. Retried with a fresh process."""

    code = "reader-crashed"


class KeyReused(Conflict):
    """The idempotency key came with another body. Use a fresh key for a new request."""

    code = "key-reused"


class InFlight(Conflict):
    """The twin of this request is still running. Ask again with the same key."""

    code = "in-flight"


class AlreadyRuled(Conflict):
    """The review has its ruling, or another person holds it. Look at it again before acting."""

    code = "already-ruled"


class StaleWrite(Conflict):
    """A row was not as the writer last saw it. Nothing of the commit was written; read again and decide anew."""

    code = "stale-write"


class DataDirInUse(Conflict):
    """Another process runs on the same folder. Stop it, or use another folder."""

    code = "data-dir-in-use"


class FeaturesUnavailable(Unavailable):
    """Another system did not give a view's values, or is left alone for a while. The decision falls back."""

    code = "features-unavailable"


class ModelUnavailable(Unavailable):
    """No live model version, or its runtime failed. The decision falls back."""

    code = "model-unavailable"


class ModelCrashed(ModelUnavailable):
    """The model's process died or hung under the request. The decision falls back; another process is started."""

    code = "model-crashed"


class ModelStarting(ModelUnavailable):
    """The model is being loaded, or its process started, as after a crash. The decision falls back; ask again in a while."""

    code = "model-starting"


class ModelQuarantined(ModelUnavailable):
    """The model's process died too often and is left alone for a while. Roll back, or release it once it is mended."""

    code = "model-quarantined"


class ReadOnly(Unavailable):
    """The ledger and its external checkpoint disagree. Nothing was accepted; an operator has to look at it first."""

    code = "read-only"


class DeadlinePassed(Unavailable):
    """No score could be had in time. The decision falls back."""

    code = "deadline-passed"

    def __init__(
        self, message: str, *, after_s: float | None = None, blames_model: bool = True
    ) -> None:
        super().__init__(message, after_s=after_s)
        self.blames_model = blames_model
        """Whether the model was too slow, and not the queue before it too long."""


class StoreUnavailable(Unavailable):
    """The database cannot be written now (disk full, server down). Nothing was accepted; try again."""

    code = "store-unavailable"


class Fenced(Unavailable):
    """This worker was declared dead, another owns its cases. Nothing was written; it starts anew under a fresh id."""

    code = "fenced"

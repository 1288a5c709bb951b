"""Runs models in child processes: a crash, a leak or a lock held in native code is then the child's alone.

A child that dies is started again at once, by a thread that keeps it; until then, and while the model is in quarantine, asks
are refused at once. Restarting takes as long as the runtime's imports and the load: 0.2 s for ONNX Runtime (ADR 0013).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from opsrail.clock import Clock
from opsrail.connect.child_process import Child, ChildGone, Launch
from opsrail.connect.quarantine import Patience, Quarantine, State
from opsrail.errors import (
    ArtifactRefused,
    Fault,
    InvalidInput,
    ModelCrashed,
    ModelQuarantined,
    ModelStarting,
    ModelUnavailable,
)
from opsrail.ports import LoadedModel, ModelHealth
from opsrail.values.canonical import digest
from opsrail.values.explanations import Contributions, FeatureCells, ModelCells
from opsrail.values.models import Score

log = logging.getLogger("opsrail.models")
START_S = 60.0
"""Time a child may take to import its runtime and load the model. Ours: some large forests take ten."""
CLOSE_S = 1.0
"""Time a child gets to end once its input is closed, before it is killed. Ours: it has nothing to finish."""
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What the children of one model may take.

    Attributes:
        least: Children that are always ready, >= 1.
        most: Children at once, >= least.
        batch_s: Time one batch may take; a child that takes longer hangs, and is ended.
        memory_bytes: Most address space of one child; 0: no limit.
        patience: How many crashes are too many, and what follows.
    """

    least: int = 1
    most: int = 1
    batch_s: float = 5.0
    memory_bytes: int = 0
    patience: Patience = field(default_factory=Patience)


class ChildRuntime:
    """Loads what another runtime loads, in child processes.

    Args:
        name: Of that runtime.
        factory: `module:name` of what returns the runtimes by name; called in the child.
        options: With these arguments by name; plain JSON.
    """

    def __init__(
        self,
        name: str,
        factory: str,
        limits: ChildLimits,
        clock: Clock,
        options: Mapping[str, object] | None = None,
    ) -> None:
        self.name = name
        self._factory = factory
        self._options = options or {}
        self._limits = limits
        self._clock = clock

    def load(self, artifact: bytes, expected_digest: str) -> LoadedModel:
        """Return the model, running in its first child, warm. Blocking.

        Raises:
            ArtifactRefused: the digest differs, or the runtime refuses it. Terminal: nothing runs.
            ModelUnavailable: the child died, failed or took too long.
        """
        if (found := digest(artifact)) != expected_digest:
            raise ArtifactRefused(
                f"artifact {expected_digest} is damaged: its bytes give {found}; restore it from a backup"
            )
        launch = Launch(
            self._factory,
            self._options,
            self.name,
            artifact,
            expected_digest,
            self._limits.memory_bytes,
        )
        return ChildModel(launch, self._limits, self._clock)


class ChildModel:
    """One model in its children. `score` may be called from several threads at once: that is how several are used.

    Attributes:
        at_once: Calls that it takes at the same time.
        is_scalable: Whether it may have more children than are always ready.
        busy_s: Seconds that children were asked, all together.
        start_s: How long the last child took to be ready.
    """

    def __init__(self, launch: Launch, limits: ChildLimits, clock: Clock) -> None:
        self.digest = launch.digest
        self.at_once = limits.most
        self.is_scalable = limits.most > limits.least
        self.busy_s = 0.0
        self.start_s = 0.0
        self._launch = launch
        self._limits = limits
        self._now_s = clock.monotonic_s
        self._quarantine = Quarantine(limits.patience)
        self._turn = threading.Condition()
        self._idle: list[Child] = []
        self._ready: set[Child] = set()
        self._asked: set[Child] = set()
        self._keepers = 0
        self._wanted = 0
        self._is_closed = False
        try:
            first = self._start()
        except ChildGone as gone:
            raise ModelUnavailable(f"model {self.digest}: its process: {gone}") from gone
        self._admit(first)
        self._keep(first)
        self.scale(limits.least)

    # -- what is asked of it -----------------------------------------------------------------------------------------

    def score(self, rows: Sequence[Row]) -> list[Score]:
        """Return one score a row, in order.

        Raises:
            InvalidInput: the model refuses a row. Terminal; none was scored.
            ModelCrashed: a child died or hung under it.
            ModelUnavailable: the model failed, or no child is ready.
        """
        if not rows:
            return []
        answer = self._ask(rows)
        if not isinstance(answer, list):
            raise self._fault(answer)
        return [
            Score(value, confidence, self.digest, tuple(unknown))
            for value, confidence, unknown in answer
        ]

    def contributions(self, rows: Sequence[Row]) -> list[Contributions] | None:
        """Return the exact contributions to each row's score; None when the model has none. Raises as `score`."""
        told = self._told({"asked": "contributions", "rows": rows})
        return None if told is None else [Contributions(**each) for each in told]

    def cells(self) -> ModelCells:
        """Return where scores may change. Raises as `score`."""
        told = self._told({"asked": "cells"})
        if told is None:
            return ModelCells(False, {})
        is_whole, features = told
        return ModelCells(
            is_whole,
            {
                name: FeatureCells(tuple(edges), *others)
                for name, (edges, *others) in features.items()
            },
        )

    def reach(self, row: Row, free: Sequence[str]) -> tuple[float, float]:
        """Return bounds of a row's score when the free features may be anything that training saw. Raises as `score`."""
        low, high = self._told({"asked": "reach", "row": row, "free": list(free)}) or (0.0, 1.0)
        return low, high

    # -- what is told and asked of its processes -----------------------------------------------------------------------

    def health(self) -> ModelHealth:
        """Return how its children fare."""
        now_s = self._now_s()
        with self._turn:
            state = self._quarantine.state_at(now_s)
            return ModelHealth(
                str(state),
                0 if state is State.QUARANTINED else len(self._ready),
                self._wanted,
                self._quarantine.crashes_count,
                self._quarantine.left_s(now_s),
            )

    def release(self) -> None:
        """End its quarantine, as an operator says, and start it again."""
        with self._turn:
            self._quarantine.release(self._now_s())
            self._turn.notify_all()

    def scale(self, wanted: int) -> None:
        """Have so many children, within the limits. Does not block."""
        with self._turn:
            self._wanted = max(self._limits.least, min(wanted, self._limits.most))
            missing = self._wanted - self._keepers
            for _ in range(min(-missing, len(self._idle))):
                self._retire(self._idle.pop())
        for _ in range(missing):
            self._keep(None)

    def close(self) -> None:
        """End its children; one that does not end in time is killed."""
        with self._turn:
            self._is_closed = True
            self._turn.notify_all()
            children = list(self._ready)
            while self._idle:
                self._retire(self._idle.pop())
            self._turn.wait_for(lambda: not self._ready, CLOSE_S)
        for child in children:
            child.is_retired = True
            child.kill()

    # -- how -----------------------------------------------------------------------------------------------------------

    def _told(self, request: Mapping[str, object]) -> Any:
        answer = self._ask(request)
        if "told" not in answer:
            raise self._fault(answer)
        return answer["told"]

    def _ask(self, request: object) -> Any:
        """Return a child's answer. Raises InvalidInput, ModelUnavailable."""
        body, wait_s = _body(request), self._limits.batch_s
        child = self._take()
        begun_s = self._now_s()
        try:
            child.send(body, wait_s)
            answer = child.receive(wait_s)
        except ChildGone as gone:
            self._lose(child)
            raise ModelCrashed(f"model {self.digest}: its process: {gone}", after_s=1.0) from gone
        with self._turn:
            self.busy_s += self._now_s() - begun_s
            self._give_back(child)
        return answer

    def _take(self) -> Child:
        """Return a child that has nothing to do; waits for one that has, but for none that is still to be started."""
        with self._turn:
            while not self._is_closed:
                now_s = self._now_s()
                if self._quarantine.state_at(now_s) is State.QUARANTINED:
                    left_s = self._quarantine.left_s(now_s)
                    raise ModelQuarantined(
                        f"model {self.digest} crashed too often and is left alone for {left_s:.0f} s more; roll back, "
                        "or release it once it is mended",
                        after_s=left_s,
                    )
                if self._idle:
                    child = self._idle.pop()
                    self._asked.add(child)
                    return child
                if not self._ready or not self._turn.wait(self._limits.batch_s):
                    break
        raise ModelStarting(f"model {self.digest}: its process is being started", after_s=1.0)

    def _give_back(self, child: Child) -> None:
        with self._turn:
            self._asked.discard(child)
            if child in self._ready:  # it may have died since
                if self._is_closed or self._keepers > self._wanted:
                    self._retire(child)
                else:
                    self._idle.append(child)
            self._turn.notify_all()

    def _retire(self, child: Child) -> None:
        """Let a child end that has nothing to do; its keeper ends with it."""
        self._ready.discard(child)
        self._keepers -= 1
        child.retire()

    def _lose(self, child: Child) -> None:
        """Let nobody ask it any more; its keeper sees it end."""
        with self._turn:
            self._ready.discard(child)
            self._asked.discard(child)
            self._turn.notify_all()
        child.kill()

    def _admit(self, child: Child) -> None:
        with self._turn:
            self._ready.add(child)
            self._give_back(child)

    def _start(self) -> Child:
        """Return a child whose model is warm. Raises ArtifactRefused, ChildGone."""
        begun_s = self._now_s()
        child = Child(self._launch, self._now_s)
        child.load(START_S)
        self.start_s = self._now_s() - begun_s
        return child

    def _keep(self, child: Child | None) -> None:
        """Have a thread that starts a child whenever there is none; it must outlive it, so it is nobody else's."""
        with self._turn:
            self._keepers += 1
        threading.Thread(
            target=self._keep_one, args=(child,), name=f"keep {self.digest[:19]}", daemon=True
        ).start()

    def _keep_one(self, child: Child | None) -> None:
        while True:
            if child is None:
                if self._is_needless():
                    return
                child = self._restarted()
                continue
            ended = child.wait()
            with self._turn:
                self._ready.discard(child)
                with suppress(ValueError):
                    self._idle.remove(child)
                self._turn.notify_all()
                self._turn.wait_for(partial(self._is_left, child))
            child.release()
            if child.is_retired:
                return
            self._crashed(ended)
            child = None

    def _is_left(self, child: Child) -> bool:
        """Return whether nobody reads from a child any more."""
        return child not in self._asked

    def _is_needless(self) -> bool:
        """Return whether a keeper without a child shall end; it is no keeper from then on."""
        with self._turn:
            is_needless = self._is_closed or self._keepers > self._wanted > 0
            self._keepers -= is_needless
            return is_needless

    def _restarted(self) -> Child | None:
        """Return a fresh child once that is allowed, None when it could not be started or is not wanted."""
        with self._turn:
            while left_s := self._quarantine.left_s(self._now_s()):
                self._turn.wait(left_s)
                if self._is_closed:
                    return None
        try:
            child = self._start()
        except (ChildGone, ArtifactRefused, OSError) as fault:
            self._crashed(f"could not be started: {fault}")
            return None
        self._admit(child)
        return child

    def _crashed(self, how: str) -> None:
        with self._turn:
            now_s = self._now_s()
            self._quarantine.crashed(now_s)
            left_s = self._quarantine.left_s(now_s)
            self._turn.notify_all()
        what = f"it is left alone for {left_s:.0f} s" if left_s else "another is started"
        log.warning("the process of model %s %s; %s", self.digest, how, what)

    def _fault(self, answer: Mapping[str, Any]) -> Exception:
        if "wrong" in answer:
            faults = [Fault(place, message) for place, message in answer["faults"]]
            return InvalidInput(answer["wrong"], faults)
        return ModelUnavailable(f"model {self.digest} failed: {answer.get('failed')}")


def _body(request: object) -> bytes:
    """Return a request's bytes. Raises InvalidInput: the model would not have understood it either."""
    try:
        return orjson.dumps(request, default=_plain)
    except TypeError as wrong:
        raise InvalidInput(f"a model's process cannot be told these features: {wrong}") from wrong


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")

"""What a server process takes for a request besides its model, as a part of a scenario."""

from __future__ import annotations

from pydantic import Field

from opsrail.lab.parts import Part
from opsrail.lab.service import Line, Service

NOTHING = Line(fixed_ms=0, row_ms=0, noise_ratio=0)
Ms = Field(0.0, ge=0, le=60_000)


class Server(Part):
    """One core, an event loop and a thread that commits. All but `sync` and `checkpoint_ms` is time of the core.

    Attributes:
        turn_ms: A turn of the loop, however much there is to do in it.
        first_ms: What the first step of a kind (taking in, writing down, answering) takes longer than others in its turn.
        request_ms: To take a request in, until its model is asked.
        record_ms: To judge it and write it down, once it has a score.
        group_ms: What a group that is committed costs the loop, however few are in it.
        commit: What a group costs the thread that commits, by its size.
        sync: How long a group then waits for the disk; the core is free meanwhile.
        checkpoint_rows: After so many requests a group waits for the disk `checkpoint_ms` longer; 0: never.
        answer_ms: To answer a request, once it is on disk.
        linger_ms: How long the first of a group waits for others, at most.
        later_ms: What a request costs the loop after its answer, e.g. its place in the ledger.
        later_every_s: That is done for all requests at once, this long after the last time.
    """

    turn_ms: float = Ms
    first_ms: float = Ms
    request_ms: float = Ms
    record_ms: float = Ms
    group_ms: float = Ms
    commit: Line = NOTHING
    sync: Service = NOTHING
    checkpoint_rows: int = Field(0, ge=0)
    checkpoint_ms: float = Ms
    answer_ms: float = Ms
    linger_ms: float = Field(2.0, ge=0, le=60_000)
    later_ms: float = Ms
    later_every_s: float = Field(1.0, gt=0, le=3_600)

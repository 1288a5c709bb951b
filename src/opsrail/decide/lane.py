"""The queue before one model version in one pool: who is asked next, with whom, and who is turned away. Pure.

Time is an argument; no threads, no event loop: the same code serves requests and the simulator.

    offer    an ask comes: it queues, joins an equal one, or is turned away at once (`shed`, `late`)
    cut      a device is free: the next batch, none when there is nothing to start
    finish   a batch ended: its device is free, its time is learned
    leave    nobody waits for an ask any more
    expire   give back what can no longer be had in time

Order: criticality class first (`high`, `normal`, `low`), within it the earliest deadline. Rules:

1. Nobody waits for company: an idle device takes what is queued, so a lone ask starts at once. Batches form of what
   queues while devices are busy; they end by size, by the deadline of the tightest ask in them, and by time: none takes
   longer than `BATCH_RATIO` of the time that asks usually have, since what comes after it began waits for its end.
2. Nothing starts that cannot be done in time: what is past its deadline, or would be after the predicted time, is given
   back as `late` at once. After a second of silence a prediction is a guess and one ask tries it.
3. The door: an ask that would end after its deadline, behind the asks ahead of it, is `shed`, with the seconds after
   which to come again. An ask waits for no lower class; it pushes lower asks out (latest deadline first) that its coming
   makes late, or that hold the last place of a full queue. It is turned away when its coming would make one of its own
   class late. A lower class's wait is reckoned with what the higher ones send meanwhile.
4. A class that waits without a break for `STANDING_S`, or above which one does, is overloaded: from then on its asks
   may use `STANDING_RATIO` of their spare time for waiting, and one that would spoil the batch behind it is dropped.
5. When all devices hang (far over their predicted time, and for `BLAME_RATIO` of an ask's), who cannot be served is
   `late`, and the model is to blame; else it is `shed`, and the model is not.
6. Equal asks (one key) at the same time are one: it takes the higher class, the earlier deadline for its place, and
   stays for the later one.
7. Of many devices only as many are used at once as answer without getting slower (`limit`).

An operation costs O(log n) comparisons and one shift of pointers; an ask 2-4 us in all.

Source:
    EDF within classes; admission by predicted finish and early drop as in Nexus (SOSP 2019); rule 4 after Nichols and
    Jacobson, Controlling Queue Delay (2012), and Maurer, Fail at Scale (2015). What was weighed: ADR 0011.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import count

from opsrail.decide.asks import DONE, HIGH, LATE, LEFT, LOW, QUEUED, RUNNING, SHED, Ask, Batch
from opsrail.decide.cost_model import CostModel
from opsrail.decide.devices import Devices
from opsrail.decide.shares import Shares

FIRST_ROWS = 8
"""Rows of the first batch of a model; while nothing is known each may be twice the last. Ours: few enough to survive."""
BATCH_RATIO = 0.5
"""Share of the usual time of an ask that one batch may take. Ours: one that just missed it still has the other half."""
STANDING_S = 0.1
"""Source: the interval of CoDel, 100 ms."""
STANDING_RATIO = 0.5
"""Ours: half of what a full batch leaves for the queue, half against wrong predictions."""
REFUSAL_S = 0.025
"""Age from which an ask that is pushed out is `late`, no longer `shed`. Source: F18 in `docs/faults.md`."""
BLAME_RATIO = 0.5
"""Share of an ask's time that a batch must have taken before the model is to blame. Ours, as `deadline.FAIR_RATIO`."""
LEAST_AFTER_S = 0.05
"""Shortest advice on when to come again. Ours."""


class Lane:
    """One queue and the devices that serve it.

    Args:
        devices: Batches that can run at once.
        max_batch: Rows in one batch, at most.
        most_queued: Rows in the queue, at most.
        linger_s: How long an ask waits for company while other batches run; nothing lingers when none does.

    Attributes:
        returned: Asks given back that their owner was not told of by `offer`: `SHED` or `LATE`. The owner empties it.
        cost: What batches cost.
        shed_count: Asks shed since the beginning, by rank.
        late_count: Asks given back as late, by rank.
        batch_rows: Rows of the last batches, smoothed.
    """

    def __init__(
        self,
        devices: int = 1,
        max_batch: int = 64,
        *,
        most_queued: int = 1_000_000,
        linger_s: float = 0.0,
    ) -> None:
        self.cost = CostModel()
        self.returned: list[Ask] = []
        self.shed_count = [0, 0, 0]
        self.late_count = [0, 0, 0]
        self.batch_rows = 0.0
        self._devices = Devices(devices)
        self._shares = Shares()
        self._max_batch = max_batch
        self._most_queued = most_queued
        self._linger_s = linger_s
        self._asks: dict[object, Ask] = {}
        self._queues: tuple[list[tuple[float, int, Ask]], ...] = ([], [], [])
        self._seq = count()
        self._first_queued_s = 0.0  # since the last cut
        self._standing_since_s = [0.0, 0.0, 0.0]
        self._usual_s = 0.0
        self._rows = min(FIRST_ROWS, max_batch)
        self._full_s = 0.0
        self._rows_per_s = float("inf")

    @property
    def queued(self) -> int:
        """Asks that wait."""
        high, normal, low = self._queues
        return len(high) + len(normal) + len(low)

    @property
    def queued_by_rank(self) -> tuple[int, int, int]:
        """Asks that wait, by rank."""
        high, normal, low = self._queues
        return len(high), len(normal), len(low)

    @property
    def running(self) -> int:
        """Batches under way."""
        return self._devices.running

    @property
    def may_start(self) -> bool:
        """Whether a device is free."""
        return self._devices.may_start

    @property
    def limit(self) -> int:
        """Batches that may be under way at once now."""
        return self._devices.limit

    @property
    def left(self) -> tuple[float, float, float]:
        """Share of the devices that the classes above leave to each class, by rank."""
        high, normal, low = self._shares.left
        return high, normal, low

    def offer(self, key: object, payload: object, rank: int, due_s: float, now_s: float) -> Ask:
        """Return the ask as it stands: queued, or running when it joins an equal one, or turned away.

        Who joined an ask gets that ask; its `payload` is the first one's.

        Args:
            rank: `HIGH`, `NORMAL` or `LOW`.
            due_s: Its deadline, on the clock of `now_s`.
        """
        if due_s <= now_s:
            return self._turned_away(Ask(key, payload, rank, due_s, now_s, -1), LATE)
        known = self._asks.get(key)
        if known is not None:
            self._join(known, rank, due_s)
            return known
        left_s, usual_s = due_s - now_s, self._usual_s
        if usual_s:  # a running estimate of a low quantile: a step down weighs four up
            self._usual_s = usual_s * (0.96 if left_s < usual_s else 1.01)
        else:
            self._usual_s = left_s
        ask = Ask(key, payload, rank, due_s, now_s, next(self._seq))
        self._shares.offered[rank] += 1
        high, normal, low = queues = self._queues
        queue, entry = queues[rank], (due_s, ask.seq, ask)
        place = bisect_left(queue, entry)
        if not (high or normal or low):
            self._first_queued_s = now_s
            if self._devices.may_start:
                if self._is_hopeless(due_s, now_s):
                    ask.blames_model = True
                    return self._turned_away(ask, LATE)
                queue.append(entry)
                self._asks[key] = ask
                return ask
        if (excess_s := self._excess_s(rank, place, due_s, now_s)) > 0.0:
            ask.after_s = max(excess_s, LEAST_AFTER_S)
            ask.blames_model = self._is_to_blame(ask, now_s)
            return self._turned_away(ask, LATE if ask.blames_model else SHED)
        queue.insert(place, entry)
        self._asks[key] = ask
        if (low and rank < LOW) or (normal and rank == HIGH):
            self._push_out(rank, now_s)
        return ask

    def cut(self, now_s: float) -> Batch | None:
        """Return the next batch, its asks running from now on; None when no device is free or nothing is to be started."""
        queues = self._queues
        if not self._devices.may_start or not (queues[0] or queues[1] or queues[2]):
            return None
        if self._linger_s and self._lingers(now_s):
            return None
        asks: list[Ask] = []
        due_s = float("inf")
        for queue in queues:
            if queue:
                due_s = self._fill(asks, queue, due_s, now_s)
                if queue:
                    break
        self._first_queued_s = now_s
        for rank, queue in enumerate(queues):
            if queue:
                break
            self._standing_since_s[rank] = now_s
        if not asks:
            return None
        rows = len(asks)
        batch = Batch(asks, now_s, self.cost.predicted_s(rows))
        self._devices.begin(batch)
        self.batch_rows += (rows - self.batch_rows) / 8 if self.batch_rows else rows
        return batch

    def finish(self, batch: Batch, now_s: float, *, is_learned: bool = True) -> None:
        """Take back a device.

        Args:
            is_learned: Whether the batch's time says how long the model takes; not so when it failed.
        """
        self._devices.end(batch, now_s)
        for ask in batch.asks:
            ask.state = DONE
            del self._asks[ask.key]
        if is_learned:
            rows, took_s, cost = len(batch.asks), now_s - batch.begun_s, self.cost
            if cost.observe(rows, took_s, now_s):
                self._size_batches()
            elif not cost.is_known:
                self._rows = min(self._max_batch, max(self._rows, 2 * rows))
            self._devices.learn(rows, took_s, cost.a_s, cost.b_s)
            self._shares.count(self._rows_per_s, now_s)

    def leave(self, ask: Ask) -> None:
        """Forget an ask that nobody waits for any more; one that runs runs on."""
        if ask.state is QUEUED:
            self._take_out(ask)
            del self._asks[ask.key]
            ask.state = LEFT

    def expire(self, now_s: float) -> None:
        """Give back as late what is queued and can no longer be had in time."""
        cost = self.cost
        is_guess = not self._devices.running and cost.is_stale(now_s)
        least_s = 0.0 if is_guess else cost.a_s + cost.b_s
        for queue in self._queues:
            while queue and queue[0][0] - least_s <= now_s:
                ask = queue[0][2]
                del queue[0]
                if ask.last_s > ask.due_s and ask.last_s - least_s > now_s:
                    self._queue_again(ask, ask.last_s)  # only who was in a hurry is late
                else:
                    self._give_back(ask, LATE, now_s)

    def wake_s(self) -> float | None:
        """Return when to `expire` and `cut` next, whatever else happens; None: nothing is queued."""
        heads = [queue[0][0] for queue in self._queues if queue]
        if not heads:
            return None
        wake_s = min(heads) - (self.cost.a_s + self.cost.b_s)
        if self._linger_s and self._devices.may_start:
            return min(wake_s, self._first_queued_s + self._linger_s)
        return wake_s

    def _is_hopeless(self, due_s: float, now_s: float) -> bool:
        """Return whether an ask with nobody ahead cannot be done in time, as far as that is known."""
        may_try = not self._devices.running and self.cost.is_stale(now_s)
        return now_s + self.cost.a_s + self.cost.b_s > due_s and not may_try

    def _excess_s(self, rank: int, place: int, due_s: float, now_s: float) -> float:
        """Return how much too late an ask at a place would end, or the last of its class behind it; 0: let it in."""
        queue, above = self._queues[rank], sum(map(len, self._queues[:rank]))
        waiting, cost = above + len(queue), self.cost
        if waiting >= self._most_queued and waiting == self.queued:
            return LEAST_AFTER_S
        if not cost.is_known:
            return 0.0
        start_s = self._devices.free_s(now_s)
        allowed_s = due_s - now_s
        if not waiting:
            self._standing_since_s[rank] = now_s
        elif self._stands(rank, now_s) and allowed_s > self._full_s:
            allowed_s = self._full_s + STANDING_RATIO * (allowed_s - self._full_s)
        excess_s = self._wait_s(rank, above + place, start_s, now_s) - allowed_s
        if excess_s <= 0.0 and place < len(queue):
            end_s = now_s + self._wait_s(rank, waiting, start_s, now_s)
            excess_s = end_s - queue[-1][2].last_s
            if excess_s > cost.b_s + self._full_s:  # it is late without this one too
                return 0.0
        return max(0.0, excess_s)

    def _wait_s(self, rank: int, ahead: int, start_s: float, now_s: float) -> float:
        """Return the seconds until an ask ends that has some rows ahead of it now, and those of higher classes to come.

        Args:
            start_s: When the next device is free.
        """
        wait_s, cost = start_s - now_s, self.cost
        if ahead >= self._rows:
            batches, ahead = divmod(ahead, self._rows)
            wait_s += batches * self._full_s / self._devices.at_work
        return wait_s / self._shares.left[rank] + cost.a_s + cost.b_s * (ahead + 1)

    def _push_out(self, rank: int, now_s: float) -> None:
        """Give back asks of classes below one that its coming made late, or that there is no room for."""
        queues = self._queues
        start_s = self._devices.free_s(now_s)
        for lower in range(LOW, rank, -1):
            queue = queues[lower]
            above = sum(map(len, queues[:lower]))
            while queue:
                last, is_over = queue[-1][2], self.queued > self._most_queued
                excess_s = 0.0
                if self.cost.is_known:
                    wait_s = self._wait_s(lower, above + len(queue) - 1, start_s, now_s)
                    excess_s = now_s + wait_s - last.last_s
                if excess_s <= 0.0 and not is_over:
                    break
                queue.pop()
                last.after_s = max(excess_s, LEAST_AFTER_S)
                is_old = now_s - last.arrived_s > REFUSAL_S
                self._give_back(last, LATE if is_old else SHED, now_s)

    def _fill(
        self, asks: list[Ask], queue: list[tuple[float, int, Ask]], due_s: float, now_s: float
    ) -> float:
        """Move asks of one class into a batch, as many as all can be done in time; return the batch's deadline."""
        cost, most, taken = self.cost, self._rows, 0
        lone_s = now_s + cost.a_s + cost.b_s
        is_guess = not self._devices.running and cost.is_stale(now_s)
        rank = queue[0][2].rank
        target = min(most, len(queue)) if self._stands(rank, now_s) else 0
        for _, _, ask in queue:
            rows, last_s = len(asks), ask.last_s
            end_s = lone_s + cost.b_s * rows
            if rows >= most or due_s < end_s:
                break
            is_tight = not rows and last_s < lone_s + cost.b_s * (target / 2 - 1)
            may_try = not rows and is_guess
            if last_s > now_s and (may_try or (last_s >= end_s and not is_tight)):
                ask.state = RUNNING
                asks.append(ask)
                due_s = min(due_s, last_s)
            elif rows and self._devices.running + 1 < self._devices.limit:
                break  # for the next device
            else:
                self._give_back(ask, LATE, now_s)
            taken += 1
        del queue[:taken]
        return due_s

    def _size_batches(self) -> None:
        """Set the rows of a full batch: as many as end in their share of the usual time."""
        cost = self.cost
        limit_s = max(BATCH_RATIO * self._usual_s, 2 * cost.a_s)
        self._rows = cost.rows_within(limit_s, self._max_batch)
        self._full_s = cost.a_s + cost.b_s * self._rows
        self._rows_per_s = self._devices.limit * self._rows / max(self._full_s, 1e-9)

    def _stands(self, rank: int, now_s: float) -> bool:
        """Return whether a class or those above it had someone queued for so long that it is no burst."""
        return now_s - self._standing_since_s[rank] > STANDING_S

    def _lingers(self, now_s: float) -> bool:
        is_old = now_s - self._first_queued_s >= self._linger_s
        return not is_old and self._devices.running > 0 and self.queued < self._rows

    def _join(self, ask: Ask, rank: int, due_s: float) -> None:
        if ask.state is QUEUED and (rank < ask.rank or due_s < ask.due_s):
            self._take_out(ask)
            ask.rank = min(rank, ask.rank)
            ask.last_s = max(due_s, ask.last_s)
            self._queue_again(ask, min(due_s, ask.due_s))
        elif due_s > ask.last_s:
            ask.last_s = due_s

    def _queue_again(self, ask: Ask, due_s: float) -> None:
        ask.due_s = due_s
        queue, entry = self._queues[ask.rank], (due_s, ask.seq, ask)
        queue.insert(bisect_left(queue, entry), entry)

    def _take_out(self, ask: Ask) -> None:
        queue = self._queues[ask.rank]
        del queue[bisect_left(queue, (ask.due_s, ask.seq, ask))]

    def _give_back(self, ask: Ask, state: str, now_s: float) -> None:
        """Return an ask to its owner that was let in before."""
        del self._asks[ask.key]
        if state is LATE:
            ask.blames_model = self._is_to_blame(ask, now_s)
        self.returned.append(self._turned_away(ask, state))

    def _is_to_blame(self, ask: Ask, now_s: float) -> bool:
        """Return whether the model, and not the queue, keeps an ask from being answered in time."""
        allowed_s = ask.last_s - ask.arrived_s
        is_slow = self.cost.a_s + self.cost.b_s > allowed_s
        return is_slow or self._devices.hang_s(now_s) > BLAME_RATIO * allowed_s

    def _turned_away(self, ask: Ask, state: str) -> Ask:
        ask.state = state
        counts = self.shed_count if state is SHED else self.late_count
        counts[ask.rank] += 1
        return ask

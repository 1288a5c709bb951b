"""Whether a bounded model's next batch may be scored on the event loop itself. Pure; time is an argument.

A hand-over to a thread and back costs more CPU than a small model's whole batch. What runs on the loop holds up everything
else, so only a model whose work is bounded by its rows may, and only for as long as it shows that it is short:

- A first try needs batches in the thread that took `TRIED_S` at most.
- After it, batches that ought to take `INLINE_S` at most; one that would be longer goes to the thread.
- A second one over `LIMIT_S` within `PAUSE_S`, or one far over it, sends the model to its thread for `PAUSE_S`;
  one alone may be the machine's. What counts is the processor's time: where other programs want it too, a call that was
  interrupted looks slow and is not, and a thread would be interrupted as well.

Source:
    Ours, measured on 2 cores: thread and back 60-120 us of CPU a batch, a forest of 100 trees 20-30 us a row.
"""

from __future__ import annotations

from opsrail.decide.cost_model import CostModel

TRIED_S = 0.01
INLINE_S = 0.001
LIMIT_S = 0.005
FAR_RATIO = 10.0
PAUSE_S = 10.0


class Inline:
    """What is known of one bounded model's calls on the event loop."""

    __slots__ = ("_cost", "_last_s", "_not_before_s", "_slow_s")

    def __init__(self) -> None:
        self._cost = CostModel()
        self._last_s = self._not_before_s = self._slow_s = float("-inf")

    def may(self, rows: int, usual_s: float, now_s: float) -> bool:
        """Return whether a batch may be scored here.

        Args:
            usual_s: Seconds that it ought to take wherever it runs; 0: not known.
        """
        if now_s < self._not_before_s:
            return False
        cost = self._cost
        if cost.is_known:
            if cost.a_s + cost.b_s * rows <= INLINE_S:
                return True
            if now_s - self._last_s < PAUSE_S:
                return False
        return 0.0 < usual_s <= TRIED_S

    def observe(self, rows: int, took_s: float, now_s: float, held_s: float = 0.0) -> None:
        """Take in what a batch took here.

        Args:
            took_s: Seconds of the processor.
            held_s: Seconds for which the event loop stood still; far over the limit they count, whoever is to blame.
        """
        self._cost.observe(rows, took_s, now_s)
        self._last_s = now_s
        longest_s = FAR_RATIO * LIMIT_S
        if took_s > LIMIT_S or held_s > longest_s:
            if max(took_s, held_s) > longest_s or now_s - self._slow_s < PAUSE_S:
                self._not_before_s = now_s + PAUSE_S
            self._slow_s = now_s

"""What the devices of one group did."""

from __future__ import annotations

from opsrail.lab.scenario import Devices
from opsrail.lab.tally import Use


class Used:
    """Counts of one group.

    Attributes:
        busy_s: Device time spent on batches.
        sizes: Batches by their rows.
        crashes: Devices that went down.
    """

    __slots__ = ("busy_s", "crashes", "sizes")

    def __init__(self) -> None:
        self.busy_s = 0.0
        self.sizes: dict[int, int] = {}
        self.crashes = 0

    def begin(self, rows: int, took_s: float) -> None:
        """Count a batch."""
        self.busy_s += took_s
        self.sizes[rows] = self.sizes.get(rows, 0) + 1

    def use(self, group: Devices, paid_s: float, loads: int, end_s: float) -> Use:
        """Return it as a value.

        Args:
            paid_s: Device time that was paid.
            end_s: When all was over.
        """
        batches = sum(self.sizes.values())
        rows = sum(size * times for size, times in self.sizes.items())
        return Use(
            devices=group.count,
            used_ratio=self.busy_s / paid_s if paid_s else 0.0,
            warm_mean=paid_s / end_s if end_s else 0.0,
            batches=batches,
            batch_mean=rows / batches if batches else 0.0,
            batch_p50=_percentile(self.sizes, 0.5),
            batch_p99=_percentile(self.sizes, 0.99),
            loads=loads,
            crashes=self.crashes,
            cost_usd=paid_s * group.cost_usd_per_s,
        )


def _percentile(sizes: dict[int, int], share: float) -> int:
    left = share * sum(sizes.values())
    for size in sorted(sizes):
        left -= sizes[size]
        if left <= 0:
            return size
    return 0

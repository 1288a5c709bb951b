"""Test an automation in memory, without waiting: `Rehearsal` runs it, `JumpingLoop` makes time pass.

from opsrail.testing import Rehearsal
import automation

def test_a_large_claim_goes_to_a_person():
with Rehearsal(automation) as rehearsal:
case = rehearsal.submit("claims-intake", {"amount": 20_000})

assert case.state == "waiting"
"""

from opsrail.clock import ManualClock
from opsrail.testing.loop import JumpingLoop
from opsrail.testing.rehearsal import Rehearsal, Sent

__all__ = ["JumpingLoop", "ManualClock", "Rehearsal", "Sent"]

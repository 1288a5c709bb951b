"""Watching what is live: rollouts in steps, tests that may be looked at after every decision, guarantees, alarms.

`sequential.py` tests one number, `signals.py` says what the numbers are, `evidence.py` holds the tests of one rollout,
`rollout_run.py` says what follows from them (all pure). `rollouts.py` begins and ends rollouts as people ask, `guard.py` is
the loop, and the only hand that acts by itself; `guarantees.py` re-tests what was promised.
"""

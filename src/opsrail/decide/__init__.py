"""The hot path: a request becomes a recorded decision.

`point.py` and `policy.py` are what authors write; `decider.py` is the table of contents of one decision. Its
leaves - cache, breaker, scheduler, recorder - never call each other or back up; the pure ones take `now` as an argument.
`explain.py` says in plain sentences why a verdict is what it is.
"""

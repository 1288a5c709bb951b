"""Durable work: a case is one run of an automation, and survives whatever its process does not.

Road: `intake.py` (once per source and key) -> `runner.py` -> the author's function through `context.py` -> it parks (rows
only) or ends -> one commit -> `outbox.py` sends the actions. `machine.py` is the table of moves; `steps.py` and
`definition.py` are what authors write with; `loader.py` reads their file; `office.py` shows and steers cases from outside;
`watchdog.py` finds calls that block the loop.
"""

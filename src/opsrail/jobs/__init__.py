"""Work that runs for minutes: asked for over HTTP, run beside decisions by a process of its own, one job at a time.

`machine.py` is the life of a job as a table, `jobs.py` keeps and runs them, `child.py` holds the process that does the work.
"""

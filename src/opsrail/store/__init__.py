"""Rows, durable: three adapters of `ports.Store` that one contract suite holds to the same promises.

`memory.py` is dicts, to be read first: it says in Python what the databases say in SQL. `sqlite.py` and `postgres.py` are
blocking drivers under the same `database.py` (reads) and `group.py` (one writer thread; many callers share one fsync).
The road of a commit: `forms.py` checks the values and names the statement -> `group.py` queues, plans (`waves.py`), commits.
`schema.py` brings a database up to date from the frozen files in `migrations/`.
"""

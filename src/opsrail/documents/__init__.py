"""Documents: real scans in, typed fields out, each with a confidence; what is unsure goes to a person.

`reader.py` takes a file, has its text read in a process of its own (`child.py`), and `form.py` finds the fields in
it: `layout.py` puts lines back into rows, `totals.py`, `dates.py` and `companies.py` each look for one thing,
`finding.py` weighs what they saw. All of it but the reader and its child is pure. `accuracy.py` compares what was
found with what is true.
"""

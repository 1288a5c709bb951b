"""Feature views with versions: what is known of an entity, folded from facts of settled cases or kept as it was brought.

`view.py` and `source.py` are what authors write; `facts.py` turns a settled case into rows, `keeping.py` takes values in,
`backfill.py` the past; `folds.py` and `kept.py` hold entities in memory; `features.py` reads them for a decision, as of now,
as of a moment, or as a past decision read them; `definitions.py` refuses another view under a version that was served.
"""

"""Feature views with versions: what history says about an entity, folded from facts that settled cases leave behind.

`view.py` is what authors write; `facts.py` turns a settled case into rows; `folds.py` keeps folded histories in memory;
`features.py` reads them for a decision, as of now or as of any fact, so that a past decision re-reads exactly its features.
"""

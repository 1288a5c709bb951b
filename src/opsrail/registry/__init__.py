"""Model versions, immutable and by digest, and which of them answers for a decision point.

`registry.py` registers versions, promotes them through the stages of `rollout.py` (a pure table) and routes requests;
`shelf.py` keeps loaded models in memory; `forecast.py` says how many places of a model should be warm. What was live when
stays in the change rows for ever.
"""

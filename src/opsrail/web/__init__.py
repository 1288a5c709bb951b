"""The HTTP door: parse, call one trade, render.

Road of a request: `envelope.py` (trace, gate, headers, problems) -> `routing.py` (path and method) -> one file a trade
(`decisions.py`, `cases.py`, `reviews.py`, `ledger.py`, `health.py`) -> `reading.py` checks what was sent -> the trade.
`problems.py` alone knows which error is which HTTP status; `openapi.py` describes the same operations that are served.
"""

"""Who may come in: API keys, and the loopback address with its guard against other sites' pages.

`keys.py` admits a request or refuses it; `addresses.py` says what a loopback address is. Doors ask, nothing else does.
"""

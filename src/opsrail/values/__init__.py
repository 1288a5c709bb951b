"""Frozen values, one file a trade; no I/O, no clock.

Rows are what the store keeps; their moments are epoch milliseconds. Everything above reads them, nothing here reads up.
"""

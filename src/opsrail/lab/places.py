"""Where an installation keeps what the lab can make again. Light: commands that only remove it need no more."""

COPIES = "history"
"""Folder of the copies of decisions, and of scores of them; it can be deleted at any time."""

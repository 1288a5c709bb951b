"""Messages to people and other systems: what is told to whom, and a loop that sends it at least once.

Road: a commit opens a review, raises an alarm or plans a change -> `subscriptions.py` adds a row for each channel that wants
    to know, in the same commit -> `sending.py` takes what is due, heeds quiet hours and sends through a `Notifier`.
"""

"""People rule here: queues, who holds a review, rulings.

Road: a case opens a review in the commit that parks it (`opening.py`) -> a person claims and rules (`desk.py`) -> the
    ruling and an inbox row for the case become durable together. This room never imports cases.
"""

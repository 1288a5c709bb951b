"""The console: pages that a browser shows, made on the server from the same trades as the API.

A page file is a class with `operations()`, as every trade's file of the door; `pages.py` renders, `forms.py` reads what a
form sends. Every page works without JavaScript; `static/` holds the little of ours that makes it come alive.
"""

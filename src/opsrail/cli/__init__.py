"""The command line: parse, call one trade, render. Every command has `--json`, `--data` and a `--help` that shows examples.

Road: `main.py` knows each command by name only -> the command's file parses (nothing heavy is imported before that)
-> `session.py` wires the app and runs the loop -> `render.py` prints. Errors become one message in `main.py`.
"""

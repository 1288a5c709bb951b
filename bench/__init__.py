"""Measurements: `python -m bench NAME --json` prints figures, peers of the same run, and the machine they were taken on."""

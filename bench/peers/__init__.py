"""Programs that run in `.venv-bench`, without opsrail: the same work on other engines."""

"""What leaves an author's function without being an error: it parks, or its worker cannot go on.

Both derive from BaseException so that `except Exception` in author code lets them pass.
"""

from __future__ import annotations


class Suspended(BaseException):
    """The case parks here: its coroutine ends, rows remain.

    If you see this in your own `except:` or `except BaseException:`, let it pass: catch `Exception` instead, or
    re-raise. Code in `finally:` runs at every park; keep the world outside to `case.act`.
    """


class Interrupted(BaseException):
    """The worker cannot write the case down now (database away, or another worker owns it); it goes on from its journal."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause

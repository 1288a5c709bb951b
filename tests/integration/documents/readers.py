"""Page readers that do what the image tells them, to see what the parent makes of it. Run in the child."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from opsrail.errors import ArtifactRefused, MissingExtra
from opsrail.values.documents import TextLine


class ObedientReader:
    """Reads `TOTAL 8.70` off any image but those that are an order."""

    name = "obedient 1"

    def read(self, image: bytes) -> tuple[TextLine, ...]:
        order, _, path = image.decode().partition(":")
        match order:
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "abort":
                os.abort()
            case "die once" if not Path(path).exists():
                Path(path).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                threading.Event().wait()
            case "refuse":
                raise ArtifactRefused("the image is damaged (it says so); scan or send it again")
            case "stumble":
                raise ArithmeticError("a bug in the engine")
            case "print":
                print("a library says hello", flush=True)
        return (
            TextLine("TOTAL 8.70", 0.9, (0, 0, 100, 20)),
            TextLine(str(os.getpid()), 0.9, (0, 40, 100, 60)),
        )


class UninstalledReader:
    """Lacks its packages."""

    def __init__(self) -> None:
        raise MissingExtra("This reader", "documents")


class StillbornReader:
    """Dies before it is ready."""

    def __init__(self) -> None:
        os.abort()

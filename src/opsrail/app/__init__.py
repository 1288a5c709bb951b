"""The wiring: the only room that names adapters. `wired.py` makes an installation of its parts."""

from opsrail.app.wired import DATABASE as DATABASE
from opsrail.app.wired import KEY_FILE as KEY_FILE
from opsrail.app.wired import NOTHING as NOTHING
from opsrail.app.wired import App as App
from opsrail.app.wired import build as build

"""The wiring: the only room that names adapters. `wired.py` makes an installation of its parts."""

from opsrail.app.building import DATABASE as DATABASE
from opsrail.app.building import KEY_FILE as KEY_FILE
from opsrail.app.building import build as build
from opsrail.app.wired import NOTHING as NOTHING
from opsrail.app.wired import App as App

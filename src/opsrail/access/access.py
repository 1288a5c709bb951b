"""Everything about who comes in, in one place: what doors and commands call."""

from __future__ import annotations

from opsrail.access.api_keys import ApiKeys
from opsrail.access.directory import Directory
from opsrail.access.signing_in import SigningIn
from opsrail.access.users import Users
from opsrail.clock import Clock
from opsrail.config import Config
from opsrail.ports import Store


class Access:
    """Users, keys, sign-ins, and who is known.

    Attributes:
        directory: What the gate asks.
    """

    def __init__(self, store: Store, clock: Clock, config: Config) -> None:
        limits = config.access
        self.users = Users(store, clock, link_s=limits.link_s)
        self.keys = ApiKeys(store, clock)
        self.signing_in = SigningIn(store, clock, absolute_s=limits.session_s)
        self.directory = Directory(store, clock, idle_s=limits.session_idle_s)

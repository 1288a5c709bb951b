"""Channels of notices, as settings name them, and what sends for each."""

from __future__ import annotations

from collections.abc import Iterator

from opsrail.app.loops import Loop
from opsrail.clock import Clock, SystemClock
from opsrail.config import ChannelConfig, Config, resolved
from opsrail.errors import ConfigInvalid, Fault, InvalidInput, MissingExtra
from opsrail.notices.quiet import quiet_until
from opsrail.notices.sending import Sender
from opsrail.notices.subscriptions import Channel, notices_of
from opsrail.ports import Follow, Notifier, Store
from opsrail.review.sampling import Sampler
from opsrail.values.notices import KINDS

LEASE_TIMEOUTS = 6
"""An attempt takes three times the time of one answer at most; twice that, and another process may try."""


def announced_by(config: Config, clock: Clock) -> Follow | None:
    """Return what has each commit tell what channels want to know of it; None without channels.

    Whoever opens a review, raises an alarm or plans a change, in a server or on the command line, so tells it in the very
    commit.

    Raises:
        ConfigInvalid: a channel's kinds or quiet hours; all faults at once. Terminal.
    """
    channels = [*channels_of(config).values()]
    if not channels:
        return None
    return lambda writes: notices_of(writes, channels, clock.now_ms(), clock.new_id)


def channels_of(config: Config) -> dict[str, Channel]:
    """Return the channels by name. Raises ConfigInvalid, with all faults."""
    if any(fault for name, given in config.channels.items() for fault in _faults(name, given)):
        notifiers_of(config, SystemClock())  # tells these with all others
    return {name: _channel(name, given, config) for name, given in config.channels.items()}


def sender_of(config: Config, store: Store, clock: Clock) -> Sender:
    """Return the loop that sends.

    Raises:
        ConfigInvalid: a channel cannot be used; all faults at once. Terminal.
        MissingExtra: the packages for webhooks are not installed. Terminal.
    """
    notify, notifiers = config.notify, notifiers_of(config, clock)
    return Sender(
        store, clock, channels_of(config), notifiers, attempts=notify.attempts, poll_s=notify.poll_s,
        lease_s=LEASE_TIMEOUTS * notify.timeout_s, public_url=config.web.public_url,
    )  # fmt: skip


def notifiers_of(config: Config, clock: Clock) -> dict[str, Notifier]:
    """Return what sends for each channel; secrets are read.

    Raises:
        ConfigInvalid: a channel cannot be used; all faults at once. Terminal.
        MissingExtra: the packages for webhooks are not installed. Terminal.
    """
    found: list[Fault] = []
    notifiers: dict[str, Notifier] = {}
    for name, given in config.channels.items():
        found += _faults(name, given)
        try:
            notifiers[name] = _notifier(given, clock, config.notify.timeout_s)
        except InvalidInput as wrong:
            faults = wrong.faults or (Fault("", wrong.summary),)
            found += [
                Fault(f"channels.{name}.{one.place}".rstrip("."), one.message) for one in faults
            ]
    if found:
        raise ConfigInvalid("the settings are not usable", found)
    return notifiers


def loops_of(
    config: Config, sampler: Sampler, store: Store, clock: Clock
) -> tuple[Sender | None, dict[str, Loop]]:
    """Return what sends, and the loops that draw and tell, as far as there is anything to do. Raises as `sender_of`."""
    loops: dict[str, Loop] = {"sampling": sampler.run} if sampler.has_work else {}
    if not config.channels:
        return None, loops
    sender = sender_of(config, store, clock)
    return sender, {**loops, "notices": sender.run}


def _channel(name: str, given: ChannelConfig, config: Config) -> Channel:
    urgent = () if given.urgent.strip() == "none" else _words(given.urgent)
    return Channel(
        name, _words(given.to), _words(given.queues), _words(given.kinds) or KINDS, given.quiet, urgent,
        round(1000 * config.notify.soon_s),
    )  # fmt: skip


def _notifier(given: ChannelConfig, clock: Clock, wait_s: float) -> Notifier:
    if given.kind == "mail":
        from opsrail.connect.mail import Mail, MailServer

        password = resolved(given.password)
        server = MailServer(given.host, given.port, given.tls, given.user, password, given.sender)
        return Mail(server, wait_s=wait_s)
    try:
        from opsrail.connect.slack import Slack
        from opsrail.connect.webhook import Webhook, keys_of
    except ModuleNotFoundError as missing:
        raise MissingExtra(f"A channel of kind {given.kind}", "notices") from missing
    if given.kind == "slack":
        return Slack(resolved(given.url), wait_s=wait_s)
    secrets = [resolved(given.secret), resolved(given.second_secret)]
    keys = keys_of(secrets, resolved(given.private_key))
    return Webhook(resolved(given.url), keys, clock, wait_s=wait_s)


def _faults(name: str, given: ChannelConfig) -> Iterator[Fault]:
    for setting in ("kinds", "urgent"):
        for word in _words(getattr(given, setting)):
            if word not in (*KINDS, "none"):
                known = ", ".join(KINDS)
                yield Fault(f"channels.{name}.{setting}", f"{word!r} is none of {known}")
    try:
        quiet_until(given.quiet, 0)
    except InvalidInput as wrong:
        yield Fault(f"channels.{name}.quiet", wrong.summary)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())

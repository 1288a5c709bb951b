"""Channels as settings name them."""

from __future__ import annotations

import pytest

from opsrail.app.notified import announced_by, channels_of, sender_of
from opsrail.clock import SystemClock
from opsrail.config import ChannelConfig, Config, load
from opsrail.errors import ConfigInvalid
from opsrail.ledger.chain import WriterChain
from opsrail.store.memory import MemoryStore
from opsrail.values.notices import KINDS, URGENT
from opsrail.values.rollouts import AlarmRow
from opsrail.values.rows import Insert, Update
from tests.support.notified import SECRET, alarm, event

CLOCK = SystemClock()


def config_of(**channel: str) -> Config:
    return Config(channels={"ops": ChannelConfig.model_validate(channel)})


def test_a_channel_is_read_from_settings_and_environment() -> None:
    environ = {
        "OPSRAIL_CHANNELS__OPS__URL": "https://example.org/hook",
        "OPSRAIL_CHANNELS__OPS__QUEUES": "claims-desk, other",
        "OPSRAIL_CHANNELS__OPS__QUIET": "22:00-07:00 Europe/Berlin",
        "OPSRAIL_CHANNELS__OPS__URGENT": "none",
        "OPSRAIL_NOTIFY__SOON_S": "60",
    }
    channel = channels_of(load(None, environ)[0])["ops"]

    assert (channel.queues, channel.kinds, channel.urgent) == (("claims-desk", "other"), KINDS, ())
    assert channel.soon_ms == 60_000
    assert channels_of(config_of(url="https://x.org"))["ops"].urgent == URGENT


def test_shares_of_control_cases_are_read_from_one_variable() -> None:
    name = "OPSRAIL_REVIEWS__CONTROLS"
    settings, origins = load(None, {name: '{"Claims desk": 0.05}'})

    assert settings.reviews.controls == {"Claims desk": 0.05}
    assert origins == {"reviews.controls": name}
    for text, told in (
        ("half", "as JSON"),
        ('{"q": 0.9}', "less than or equal to 0.5"),
        ("[1]", "dictionary"),
    ):
        with pytest.raises(ConfigInvalid) as refused:
            load(None, {name: text})
        assert told in refused.value.faults[0].message


def test_without_channels_nothing_follows_from_a_commit() -> None:
    follow = announced_by(config_of(url="https://x.org"), CLOCK)

    assert announced_by(Config(), CLOCK) is None
    assert follow is not None
    assert [type(write) for write in follow([Insert(alarm())])] == [Insert]
    assert follow([Insert(event("review-1", "seen", "desk")), Update(AlarmRow, ("a",), {})]) == []


@pytest.mark.parametrize(
    ("channel", "place"),
    [
        ({"url": "https://x.org", "kinds": "review.open", "secret": SECRET}, "channels.ops.kinds"),
        ({"url": "https://x.org", "quiet": "at night", "secret": SECRET}, "channels.ops.quiet"),
        ({"url": "https://x.org"}, "channels.ops.secret"),
        ({"url": "https://x.org", "secret": "whsec_aGk="}, "channels.ops.secret"),
        ({"url": "http://x.org", "secret": SECRET}, "channels.ops"),
        ({"kind": "slack", "url": "http://hooks.slack.com/x"}, "channels.ops"),
        ({"kind": "mail", "host": "m", "sender": "nobody", "to": "a@b.org"}, "channels.ops.sender"),
        ({"kind": "mail", "host": "m", "sender": "a@b.org", "to": "a@b.org", "tls": "none"}, "channels.ops.tls"),
    ],
)  # fmt: skip
def test_a_channel_that_cannot_work_is_refused_with_its_place(
    channel: dict[str, str], place: str
) -> None:
    store = MemoryStore(WriterChain(CLOCK), clock=CLOCK)
    with pytest.raises(ConfigInvalid) as refused:
        sender_of(config_of(**channel), store, CLOCK)

    assert [fault.place for fault in refused.value.faults] == [place]
    assert SECRET not in str(refused.value)


def test_what_is_wrong_with_several_channels_is_told_at_once_before_a_store_is_opened() -> None:
    wrong = {
        "a": {"url": "https://x.org"},
        "b": {"url": "https://x.org", "secret": SECRET, "quiet": "at night"},
    }
    config = Config(
        channels={name: ChannelConfig.model_validate(one) for name, one in wrong.items()}
    )
    with pytest.raises(ConfigInvalid) as refused:
        channels_of(config)

    assert [fault.place for fault in refused.value.faults] == [
        "channels.a.secret",
        "channels.b.quiet",
    ]


@pytest.mark.parametrize("kind", ["mail", "slack", "webhook"])
def test_a_channel_that_lacks_what_it_needs_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="needs"):
        ChannelConfig.model_validate({"kind": kind})

"""Settings of notices: how they are sent, and the channels that they go to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from opsrail.config.part import Part, hidden


class NotifyConfig(Part):
    """How notices are sent; the channels they go to are `[channels.NAME]`."""

    poll_s: float = Field(
        1.0, ge=0.05, le=86_400, description="time between two looks at what is to be sent"
    )
    attempts: int = Field(
        12, ge=1, le=100, description="after so many, over about ten hours, a notice is dead"
    )
    timeout_s: float = Field(10.0, ge=0.1, le=300, description="time one answer may take")
    soon_s: float = Field(
        900.0, ge=1, le=2_592_000, description="how long before its due time a review is due soon"
    )


class ChannelConfig(Part):
    """One channel of notices: who is told what, and by what."""

    kind: Literal["mail", "slack", "webhook"] = Field(
        "webhook",
        description="`mail`, `slack` (an incoming webhook) or `webhook` (Standard Webhooks)",
    )
    queues: str = Field("*", description="desks whose reviews are told, commas between; `*`: all")
    kinds: str = Field(
        "", description="what is told, e.g. `review.opened, alarm.raised`; empty: everything"
    )
    quiet: str = Field(
        "", description="when nothing is sent, e.g. `22:00-07:00 Europe/Berlin`; empty: never"
    )
    urgent: str = Field(
        "review.escalated, review.expired, alarm.raised",
        description="kinds that are sent all the same; `none`: not one",
    )
    to: str = Field(
        "", description="mail: addresses, or `user:NAME` for that person's own; commas between"
    )
    url: str = hidden("slack, webhook: where to")
    secret: str = hidden("webhook: `whsec_...` that signs")
    second_secret: str = Field(
        "",
        repr=False,
        description="webhook: another that signs along while one is changed for the other",
    )
    private_key: str = hidden("webhook: Ed25519 key `whsk_...` for signatures `v1a`")
    host: str = Field("", description="mail: server that takes it")
    port: int = Field(587, ge=1, le=65535, description="mail: its port")
    tls: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="mail: `none` only for a server on this machine"
    )
    user: str = Field("", description="mail: who signs in there; empty: nobody")
    password: str = hidden("mail: the password")
    sender: str = Field("", description="mail: address that it comes from")

    @model_validator(mode="after")
    def _is_whole(self) -> ChannelConfig:
        needed = {"mail": ("host", "sender", "to"), "slack": ("url",), "webhook": ("url",)}[
            self.kind
        ]
        if missing := [name for name in needed if not getattr(self, name)]:
            raise ValueError(f"a channel of kind {self.kind} needs {', '.join(missing)}")
        return self

"""Notices by mail: SMTP with TLS, in threads of its own, since the standard library's client blocks.

A message has the notice's id as its Message-ID: one that comes twice is shown once by most readers.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import partial
from typing import NamedTuple

from opsrail.clock import datetime_of
from opsrail.connect.remote_hosts import is_loopback_name
from opsrail.connect.wording import lines_of
from opsrail.errors import Fault, InvalidInput, Unavailable
from opsrail.values.notices import Notice

THREADS = 2
PERMANENT = 500


class MailServer(NamedTuple):
    """Where mail is handed in.

    Attributes:
        tls: `starttls`, `tls` from the first byte, or `none`, on this machine only.
        user: Empty: no sign-in.
        sender: Address that mail comes from.
    """

    host: str
    port: int
    tls: str
    user: str
    password: str
    sender: str


class Mail:
    """Sends notices by mail.

    Args:
        wait_s: For each answer of the server; the whole of an attempt may take three times as long.
        context: What certificates are trusted; None: those of the system.

    Raises:
        InvalidInput: the settings contradict each other; all faults at once. Terminal.
    """

    def __init__(
        self, server: MailServer, *, wait_s: float = 10.0, context: ssl.SSLContext | None = None
    ) -> None:
        if found := _faults(server):
            raise InvalidInput("mail cannot be sent", found)
        self._server = server
        self._wait_s = wait_s
        self._context = context or ssl.create_default_context()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="opsrail-mail")

    async def send(self, notice: Notice, address: str) -> None:
        """As `ports.Notifier.send`. Raises InvalidInput where the server will never take it."""
        message = message_of(notice, self._server.sender, address)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(3 * self._wait_s):
                await loop.run_in_executor(self._threads, partial(self._deliver, message))
        except TimeoutError as late:
            raise Unavailable(f"{self._name} gave no answer in {3 * self._wait_s:g} s") from late
        except smtplib.SMTPRecipientsRefused as refused:
            codes = [code for code, _ in refused.recipients.values()]
            if all(code >= PERMANENT for code in codes):
                raise InvalidInput(f"{self._name} does not take mail to that address") from refused
            raise Unavailable(f"{self._name} does not take mail to that address now") from refused
        except (smtplib.SMTPException, OSError) as failed:
            code = getattr(failed, "smtp_code", "")
            told = f"{type(failed).__name__} {code}".strip()
            raise Unavailable(f"{self._name} did not take it: {told}") from failed

    async def close(self) -> None:
        """Release its threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def _name(self) -> str:
        return f"the mail server at {self._server.host}:{self._server.port}"

    def _deliver(self, message: EmailMessage) -> None:
        """Hand one message in. Blocking."""
        server = self._server
        if server.tls == "tls":
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=self._wait_s, context=self._context
            )
        else:
            client = smtplib.SMTP(server.host, server.port, timeout=self._wait_s)
        with client:
            if server.tls == "starttls":
                client.starttls(context=self._context)
            if server.user:
                client.login(server.user, server.password)
            client.send_message(message)


def message_of(notice: Notice, sender: str, address: str) -> EmailMessage:
    """Return a notice as a mail.

    Raises:
        InvalidInput: that is no address. Terminal.
    """
    if not is_address(address):
        raise InvalidInput(f"{address[:80]!r} is no mail address")
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = sender, address, notice.title
    message["Date"] = format_datetime(datetime_of(notice.at_ms))
    message["Message-ID"] = f"<{notice.id}@{parseaddr(sender)[1].rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(lines_of(notice)) + "\n")
    return message


def is_address(text: str) -> bool:
    """Return whether a text may be a mail address, with nothing beside it that a header could be made of."""
    name, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    has_control = any(ord(letter) < 32 or ord(letter) == 127 for letter in text)
    return not name and address == text and bool(local) and "." in f"{domain}." and not has_control


def _faults(server: MailServer) -> list[Fault]:
    found = []
    if not server.host:
        found.append(Fault("host", "is missing: name the mail server"))
    if not is_address(server.sender):
        found.append(Fault("sender", f"{server.sender!r} is no mail address"))
    if server.tls == "none" and not is_loopback_name(server.host):
        found.append(Fault("tls", "'none' is for this machine alone; use 'starttls' or 'tls'"))
    if server.user and server.tls == "none":
        found.append(Fault("user", "a password is not sent in the clear; use TLS"))
    return found

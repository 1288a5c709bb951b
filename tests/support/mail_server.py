"""A mail server on a loopback port: takes messages, asks for TLS and a password, and misbehaves as a test says."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.support.loopback import Loopback

PASSWORD = "post"


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server and a client of this machine talk TLS with."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1)).add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    held = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    held.write_bytes(made.public_bytes(Encoding.PEM) + private)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(held)
    return server, ssl.create_default_context(cafile=held)


class MailServer(Loopback):
    """Serves SMTP while used as an async context.

    Attributes:
        faults: What to answer instead, by command, once each: e.g. `("RCPT", "550 no such user")`; `("DATA", "hang")`.
        taken: Messages that were taken, with the address each was handed in for.
        is_secret: Whether each message came over TLS, after a password.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, *, from_first_byte: bool = False) -> None:
        super().__init__(tls if from_first_byte else None)
        self.faults: list[tuple[str, str]] = []
        self.taken: list[tuple[str, EmailMessage]] = []
        self.is_secret: list[tuple[bool, bool]] = []
        self._tls = tls
        self._from_first_byte = from_first_byte

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_tls, is_known, address = self._from_first_byte, False, ""
        writer.write(b"220 test\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line.split()[0].upper()
            if self.faults and self.faults[0][0] == word:
                _, said = self.faults.pop(0)
                if said == "hang":
                    await asyncio.sleep(30)
                writer.write(said.encode() + b"\r\n")
            elif word == "EHLO":
                more = "" if is_tls or self._tls is None else "250-STARTTLS\r\n"
                writer.write(f"250-test\r\n{more}250 AUTH PLAIN\r\n".encode())
            elif word == "STARTTLS":
                assert self._tls is not None
                writer.write(b"220 go\r\n")
                await writer.start_tls(self._tls)
                is_tls = True
            elif word == "AUTH":
                is_known = base64.b64decode(line.split()[2]).split(b"\0")[2] == PASSWORD.encode()
                writer.write(b"235 ok\r\n" if is_known else b"535 no\r\n")
            elif word == "RCPT":
                address = line.partition("<")[2].rstrip(">")
                writer.write(b"250 ok\r\n")
            elif word == "DATA":
                writer.write(b"354 go\r\n")
                content = await reader.readuntil(b"\r\n.\r\n")
                message = message_from_bytes(content[:-5], policy=policy.default)
                self.taken.append((address, message))
                self.is_secret.append((is_tls, is_known))
                writer.write(b"250 ok\r\n")
            elif word == "QUIT":
                writer.write(b"221 bye\r\n")
                return
            else:
                writer.write(b"250 ok\r\n")

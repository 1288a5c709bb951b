"""Where the demo's payments arrive: an HTTP server on loopback that pays a key once and writes down every arrival.

    POST /payments   Idempotency-Key: <key>   {"claim": 15001, "amount_usd": "1100"}

It answers 201 with the payment; when the key comes again, 200 with the first payment; 409 when it comes with another body.
`payments.jsonl` is its book: a line an arrival, on disk before the answer. `again` marks one that paid nothing.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BOOK = "payments.jsonl"
BODY_BYTES = 10_000


@dataclass
class Book:
    """Arrivals, durable in a file.

    Attributes:
        payments: By key: what was paid.
        again_count: Arrivals whose key had been paid before.
    """

    path: Path
    payments: dict[str, dict[str, Any]] = field(default_factory=dict)
    again_count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def doubled_count(self) -> int:
        """Payments beyond the first of a claim; 0 when each claim was paid once, whatever crashed on the way."""
        return len(self.payments) - len({payment["claim"] for payment in self.payments.values()})

    @property
    def paid_usd(self) -> Decimal:
        return sum(
            (Decimal(payment["amount_usd"]) for payment in self.payments.values()), Decimal(0)
        )

    @classmethod
    def opened(cls, path: Path) -> Book:
        """Return the book in a file; a last line that a crash cut off was never answered for and is dropped."""
        book = cls(path)
        written = path.read_bytes() if path.exists() else b""
        whole = written[: written.rfind(b"\n") + 1]
        if len(whole) < len(written):
            os.truncate(path, len(whole))
        for line in whole.splitlines():
            book._note(json.loads(line))
        return book

    def arrived(self, key: str, claim: int, amount_usd: str) -> tuple[HTTPStatus, dict[str, Any]]:
        """Write an arrival down and return the answer to it."""
        with self._lock:
            payment = {"key": key, "claim": claim, "amount_usd": amount_usd}
            known = self.payments.get(key)
            if known is not None and known != payment:
                return HTTPStatus.CONFLICT, {"error": f"key {key} paid something else"}
            line = payment if known is None else {**payment, "again": True}
            with self.path.open("ab") as file:
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            self._note(line)
            return (HTTPStatus.CREATED if known is None else HTTPStatus.OK), payment

    def _note(self, line: dict[str, Any]) -> None:
        if line.get("again"):
            self.again_count += 1
        else:
            self.payments[line["key"]] = line


@contextmanager
def endpoint(book: Book) -> Iterator[str]:
    """Take payments into the book while the block runs; yields the URL."""

    class Till(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                size = int(self.headers.get("Content-Length", ""))
                body = json.loads(self.rfile.read(min(size, BODY_BYTES)))
                key, claim = self.headers["Idempotency-Key"], int(body["claim"])
                amount_usd = str(Decimal(body["amount_usd"]))
            except (ValueError, KeyError, TypeError, InvalidOperation) as wrong:
                return self._answer(HTTPStatus.BAD_REQUEST, {"error": str(wrong)})
            if not key:
                return self._answer(HTTPStatus.BAD_REQUEST, {"error": "no Idempotency-Key"})
            return self._answer(*book.arrived(key, claim, amount_usd))

        def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing on the terminal; the book has it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Till)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="payments", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/payments"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

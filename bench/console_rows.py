"""What a busy installation holds after eighty days, as rows: cases with all that happened to them, decisions beside.

Each row is what the code that writes such rows would have written; texts are real claims of the example, decided by its real
model and policy. Pure: what differs is drawn from a seeded generator.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from bench.history_rows import AT, CASE, DAY_MS, ID
from opsrail.cases.ending import accepted
from opsrail.clock import ulid_text
from opsrail.ledger.commitment import record_commitment
from opsrail.ledger.entries import entry
from opsrail.values.cases import CaseRow, JournalRow, OutboxRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import ControlRow, NoticeRow, ReviewEventRow, ReviewRow, RulingRow
from opsrail.values.rollouts import AlarmRow
from opsrail.values.rows import Append

AUTOMATION, POINT, QUEUE = "claims-intake", "fraud-risk", "claims-desk"
PEOPLE = tuple(
    f"user:{name}"
    for name in ("anna", "bela", "chioma", "dag", "elif", "femi", "goran", "hana", "ines", "jun")
)
SALT = "5a" * 32
TRACE = "0af7651916cd43dd8448eb211c80319c"
Row = tuple[Any, ...]


class Busy:
    """Draws rows, in the order of time.

    Args:
        decided: Rows of decided claims, as `history_rows.decided_claims` gives them.
        case_every: One decision in so many belongs to a case.
    """

    def __init__(
        self, decided: Sequence[DecisionRow], now_ms: int, count: int, case_every: int, digest: str
    ) -> None:
        self._decided = decided
        self._now_ms = now_ms
        self._count = count
        self._case_every = case_every
        self._digest = digest
        self._chance = random.Random(11)
        self._inputs = [_input_of(row) for row in decided]
        self._alone = [_alone(row.record) for row in decided]

    def ulid(self, at_ms: int) -> str:
        """Return an id of a moment."""
        return ulid_text(at_ms << 80 | self._chance.getrandbits(80))

    def written(self, span_ms: int) -> Iterator[tuple[list[Row], list[Append]]]:
        """Yield the rows and ledger entries of one decision after the other, with its case where it has one."""
        for number in range(self._count):
            at_ms = self._now_ms - span_ms + number * span_ms // self._count
            if number % self._case_every:
                yield self._asked(number, at_ms)
            else:
                yield self._case(number, at_ms)

    def _asked(self, number: int, at_ms: int) -> tuple[list[Row], list[Append]]:
        """A decision that a program asked for over HTTP; every tenth has an outcome, some a spot check."""
        place = number % len(self._decided)
        own = self.ulid(at_ms)
        record = self._alone[place].replace(ID, own).replace(str(AT), str(at_ms))
        base = self._decided[place]
        row = base._replace(id=own, case_id=None, seq=None, at_ms=at_ms, record=record, salt=SALT)
        rows: list[Row] = [row]
        if self._chance.random() < 0.1:
            later = min(at_ms + 3 * DAY_MS, self._now_ms)
            value = float(self._chance.random() < 0.06)
            outcome = self.ulid(later)
            rows.append(
                OutcomeRow(outcome, own, "fraud", value, "late", 1.0, "key:feed", later, later)
            )
        if self._chance.random() < 0.015:
            rows += self._spot_check(row)
        return rows, [_made(row)]

    def _spot_check(self, decision: DecisionRow) -> list[Row]:
        subject = f'{{"input":null,"decision":{decision.record},"show":null}}'
        opened = decision.at_ms + 60_000
        review = _open(f"{decision.id}-0", None, decision.id, subject, decision.verdict, opened)
        review = review._replace(purpose="audit", due_at_ms=opened + DAY_MS)
        return self._ruled(review) if self._is_past(opened) else [review]

    def _is_past(self, at_ms: int) -> bool:
        """Return whether somebody has ruled by now: after four days always, after one mostly."""
        age_ms = self._now_ms - at_ms
        return age_ms > 4 * DAY_MS or (age_ms > DAY_MS and self._chance.random() < 0.7)

    def _case(self, number: int, at_ms: int) -> tuple[list[Row], list[Append]]:
        place = number % len(self._decided)
        case_id, decision_id = self.ulid(at_ms - 40), self.ulid(at_ms)
        base = self._decided[place]
        record = base.record.replace(ID, decision_id).replace(CASE, case_id)
        record = record.replace(str(AT), str(at_ms))
        decision = base._replace(
            id=decision_id, case_id=case_id, at_ms=at_ms, record=record, salt=SALT
        )
        case = self._accepted(case_id, self._inputs[place], at_ms - 40)
        entries = [accepted(case), _made(decision)]
        journal = [
            _journal(case_id, 0, "step", "read_receipt", orjson.dumps(_document(number)).decode(), at_ms - 20),
            _journal(case_id, 1, "decide", POINT, f'"{decision_id}"', at_ms),
        ]  # fmt: skip
        rows: list[Row] = [decision, *journal]
        draw = self._chance.random()
        if draw < 0.003:
            why = "ValueError: the estimate is not a number: 'about 300'"
            return [*rows, _ended(case, "set_aside", at_ms, reason=why)], entries
        if decision.verdict != "review" and draw < 0.9:
            return self._paid(case, decision, rows, entries, 2, at_ms + 15, None)
        review_id = f"{case_id}-2"
        subject = f'{{"input":{case.input},"decision":{record},"show":{{"total_usd":"91.00"}}}}'
        review = _open(review_id, case_id, decision_id, subject, decision.verdict, at_ms + 10)
        review = review._replace(due_at_ms=at_ms + 4 * 3_600_000, requester=case.requested_by)
        entries.append(
            entry(
                "review.opened",
                review_id,
                at_ms + 10,
                {"case": case_id, "decision": decision_id, "queue": QUEUE},
            )
        )
        if draw > 0.99:
            gone = review._replace(state="withdrawn", version=1)
            row = _ended(case, "cancelled", at_ms + 9_000, reason="The claimant withdrew it.")
            return [*rows, gone, row], entries
        if not self._is_past(at_ms):
            return [*rows, self._held(review), _waiting(case, review_id, at_ms)], entries
        return self._after_ruling(case, decision, review, rows, entries)

    def _after_ruling(
        self,
        case: CaseRow,
        decision: DecisionRow,
        review: ReviewRow,
        rows: list[Row],
        entries: list[Append],
    ) -> tuple[list[Row], list[Append]]:
        ruled = self._ruled(review)
        held = ruled[0]
        assert isinstance(held, ReviewRow)
        assert held.ruled_at_ms is not None
        ruling = {
            "verdict": held.ruling,
            "reason": held.ruling_reason,
            "ruled_by": held.ruled_by,
            "is_override": False,
            "ruled_at_ms": held.ruled_at_ms,
        }
        entries.append(
            entry(
                "review.ruled",
                held.id,
                held.ruled_at_ms,
                {
                    "by": held.ruled_by,
                    "case": case.id,
                    "decision": decision.id,
                    "override": False,
                    "verdict": held.ruling,
                },
            )
        )
        noted = _journal(
            case.id, 2, "review", QUEUE, orjson.dumps(ruling).decode(), held.ruled_at_ms + 5
        )
        label = OutcomeRow(
            self.ulid(held.ruled_at_ms),
            decision.id,
            "fraud",
            float(held.ruling == "decline"),
            "review",
            1.0,
            str(held.ruled_by),
            held.ruled_at_ms,
            held.ruled_at_ms,
        )
        rows = [*rows, *ruled, noted, label]
        if held.ruling == "approve":
            return self._paid(
                case, decision, rows, entries, 3, held.ruled_at_ms + 20, held.ruled_by
            )
        outcome = {
            "verdict": "declined",
            "amount_usd": "0",
            "ruled_by": held.ruled_by,
            "why": held.ruling_reason,
        }
        done = _ended(
            case, "settled", held.ruled_at_ms + 20, outcome=orjson.dumps(outcome).decode()
        )
        entries.append(_settled(done))
        return [*rows, done], entries

    def _paid(
        self,
        case: CaseRow,
        decision: DecisionRow,
        rows: list[Row],
        entries: list[Append],
        seq: int,
        at_ms: int,
        by: str | None,
    ) -> tuple[list[Row], list[Append]]:
        key = f"{case.id}-{seq}"
        is_dead = self._chance.random() < 0.002
        payload = orjson.dumps(
            {"args": [], "kwargs": {"claim_number": 7, "amount_usd": "1234.50"}}
        ).decode()
        sent = OutboxRow(
            key, case.id, AUTOMATION, "pay", payload, "dead" if is_dead else "sent", None, 8 if is_dead else 1, at_ms,
            "HTTPError: 502 Bad Gateway" if is_dead else None, None if is_dead else '{"paid":true}', at_ms,
            None if is_dead else at_ms + 180,
        )  # fmt: skip
        outcome = {
            "verdict": "paid",
            "amount_usd": "1234.50",
            "ruled_by": by,
            "why": decision.reason,
        }
        done = _ended(case, "settled", at_ms, outcome=orjson.dumps(outcome).decode())
        entries.append(entry("action.enqueued", key, at_ms, {"action": "pay", "case": case.id}))
        entries.append(_settled(done))
        return [*rows, _journal(case.id, seq, "act", "pay", f'"{key}"', at_ms), sent, done], entries

    def _accepted(self, case_id: str, given: str, at_ms: int) -> CaseRow:
        by = self._chance.choice(("key:intake", "key:web", None, PEOPLE[0]))
        return CaseRow(
            case_id, AUTOMATION, self._digest, "ready", "http", given, None, None, None, None, 0, 0, 0, 5, None,
            TRACE, SALT, at_ms, at_ms, None, by,
        )  # fmt: skip

    def _held(self, review: ReviewRow) -> ReviewRow:
        if self._chance.random() < 0.9:
            return review
        by, at_ms = self._chance.choice(PEOPLE), self._now_ms
        return review._replace(
            state="claimed", assignee=by, claimed_at_ms=at_ms, lease_until_ms=at_ms + 900_000, version=1
        )  # fmt: skip

    def _ruled(self, review: ReviewRow) -> list[Row]:
        """The review with its ruling, who said it, and what happened to it."""
        chance, by = self._chance, self._chance.choice(PEOPLE)
        claimed = review.opened_at_ms + chance.randrange(60_000, 3_600_000)
        at_ms = claimed + chance.randrange(20_000, 900_000)
        verdict = "decline" if chance.random() < 0.2 else "approve"
        why = "The garage's offer does not fit the damage." if verdict == "decline" else ""
        ruled = review._replace(
            state="ruled", assignee=by, claimed_at_ms=claimed, version=2, ruling=verdict, ruling_reason=why, ruled_by=by,
            ruled_at_ms=at_ms, delivered_at_ms=at_ms,
        )  # fmt: skip
        said = RulingRow(
            review.id, by, verdict, why, None, None, False, (at_ms - claimed) / 1000, at_ms
        )
        content = orjson.dumps({"verdict": verdict, "reason": why}).decode()
        return [
            ruled,
            said,
            ReviewEventRow(review.id, 0, "opened", None, "{}", review.opened_at_ms),
            ReviewEventRow(review.id, 1, "claimed", by, "{}", claimed),
            ReviewEventRow(review.id, 2, "ruled", by, content, at_ms),
        ]

    def beside(self, span_ms: int) -> Iterator[Row]:
        """Yield what there is of few: alarms, control cases, notices."""
        for number in range(400):
            at_ms = self._now_ms - span_ms + number * span_ms // 400
            is_over = number < 395
            yield AlarmRow(
                self.ulid(at_ms), POINT, "guarantee-broken", "paid_fraud", "More fraud was paid than promised.",
                '{"limit":0.01,"seen":0.013}', at_ms, at_ms + DAY_MS if is_over else None, PEOPLE[3] if is_over else None,
            )  # fmt: skip
            subject = orjson.dumps({"input": {"claim": number}, "decision": None, "show": None})
            yield ControlRow(
                self.ulid(at_ms), QUEUE, subject.decode(), "decline", PEOPLE[1], at_ms, number % 3
            )
            yield NoticeRow(
                self.ulid(at_ms),
                "mail",
                "desk@example.org",
                "review.due",
                f"{number}",
                "{}",
                "sent",
                1,
                at_ms,
                None,
                at_ms,
                at_ms,
            )


def _alone(record: str) -> str:
    """Return the record of a decision that no case asked for."""
    text = record.replace(f'"case_id":"{CASE}"', '"case_id":null').replace('"seq":1', '"seq":null')
    return text.replace('"actor":"claims-intake"', '"actor":"key:web"')


def _input_of(row: DecisionRow) -> str:
    """Return a claim as its case keeps it, from the record of its decision."""
    for read in orjson.loads(row.record)["features"]:
        if read["as_of"] is None:
            return orjson.dumps({**read["values"], "PolicyNumber": 7, "Year": 1996}).decode()
    raise AssertionError("a decision without a request")


def _made(row: DecisionRow) -> Append:
    fields = {
        "actor": "key:web" if row.case_id is None else AUTOMATION,
        "case": row.case_id,
        "commitment": record_commitment(row.salt, row.record.encode()),
        "correlation_id": TRACE,
        "decision": row.id,
        "degraded": row.degraded,
        "model": f"{row.model_name}/{row.model_number}",
        "point": row.point,
        "policy_version": row.policy_version,
        "verdict": row.verdict,
    }
    return entry("decision.made", row.id, row.at_ms, fields)


def _settled(row: CaseRow) -> Append:
    commitment = record_commitment(SALT, (row.outcome or "").encode())
    fields = {"automation": AUTOMATION, "commitment": commitment}
    return entry("case.settled", row.id, row.updated_at_ms, fields)


def _ended(row: CaseRow, state: str, at_ms: int, **said: Any) -> CaseRow:
    settled = None if state == "set_aside" else at_ms
    return row._replace(state=state, updated_at_ms=at_ms, settled_at_ms=settled, **said)


def _waiting(row: CaseRow, review_id: str, at_ms: int) -> CaseRow:
    return row._replace(state="waiting", waiting_for=f"review:{review_id}", updated_at_ms=at_ms)


def _journal(case_id: str, seq: int, kind: str, name: str, result: str, at_ms: int) -> JournalRow:
    digest = hashlib.sha256(f"{kind}{name}".encode()).hexdigest()
    return JournalRow(case_id, seq, kind, name, digest, result, 1, at_ms)


def _open(
    review_id: str,
    case_id: str | None,
    decision_id: str,
    subject: str,
    verdict: str,
    at_ms: int,
) -> ReviewRow:
    return ReviewRow(
        review_id, case_id, AUTOMATION, QUEUE, decision_id, subject, verdict, "open", 5, None, None, None, None, 0,
        None, None, None, SALT, at_ms, None,
    )  # fmt: skip


def _document(number: int) -> dict[str, Any]:
    box = [60, 400, 320, 424]
    return {
        "digest": hashlib.sha256(str(number).encode()).hexdigest(),
        "pages": [
            {
                "number": 1,
                "lines": [{"text": "TOTAL 91.00", "confidence": 0.98, "box": box, "page": 1}],
            }
        ],
        "fields": [
            {
                "name": "total",
                "kind": "money",
                "value": "91.00",
                "text": "TOTAL 91.00",
                "confidence": 0.97,
                "page": 1,
                "box": box,
            }
        ],
        "engine": "rapidocr 3.10",
        "read_ms": 480,
    }

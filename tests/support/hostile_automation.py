"""An automation every field of which others may fill, and which shows all of it: what people, documents and models wrote."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from opsrail import (
    Automation,
    Band,
    Case,
    DecisionPoint,
    Document,
    FeatureView,
    Policy,
    PythonModel,
    Rule,
    StepFailed,
    Terminal,
)
from opsrail.values.documents import ExtractedField, Page, TextLine

Deed = Literal["pay", "fail to pay", "ask", "break", "stumble"]


class Complaint(BaseModel):
    """A complaint as it comes in; names of further fields are the claimant's own."""

    model_config = ConfigDict(extra="allow", frozen=True)

    deed: Deed
    name: str
    text: str
    file: str = ""
    tags: tuple[str, ...] = ()
    details: dict[str, Any] = {}


class Answer(BaseModel):
    said: str
    why: str


class Read(BaseModel):
    """What is decided on."""

    deed: Deed
    name: str
    text: str


history = FeatureView(
    "complainants",
    version=1,
    entity=lambda facts: facts.name,
    initial=lambda: {"count": 0},
    fold=lambda state, fact: {"count": state["count"] + fact["one"]},
    read=lambda state: {"complainants.count": float(state["count"])},
    fact=lambda complaint, answer: (complaint.name, {"one": 1}),
)


def by_length(row: Any) -> float:
    return 0.6 if row.get("deed") == "ask" else min(0.4, len(row.get("text", "")) / 10_000)


def by_name(row: Any) -> float:
    return 0.6 if row.get("deed") == "ask" else min(0.4, len(row.get("name", "")) / 10_000)


model = PythonModel("complaint-risk", by_length)
challenger = PythonModel("complaint-risk", by_name)
risk = DecisionPoint(
    "complaint-risk",
    request=Read,
    deadline_ms=30_000,
    features=["complainants@1"],
    policy=Policy(
        [Band("pay", below=0.5), Band("review", below=1.01)],
        [Rule("asked", lambda read: read.deed == "ask", "review", "Rule <b>of</b> the author's.")],
    ),
    fallback=lambda read: ("review", "No score could be had."),
)
complaints = Automation("complaints", case=Complaint, outcome=Answer, history=[history])


def read_file(name: str, text: str) -> Document:
    """Stand for reading a scan: what is on it is the claimant's."""
    line = TextLine(text or "-", 0.9, (10, 10, 400, 40))
    found = ExtractedField("total", "text", text, name or text, 0.8, 1, (10, 10, 400, 40))
    return Document("0" * 64, (Page(1, (line,)),), (found,), name or "engine", 7)


def stumble(text: str) -> str:
    raise Terminal(text)


@complaints.action()
async def pay(key: str, name: str, text: str, fails: bool) -> dict[str, str]:
    if fails:
        raise Terminal(text)
    return {"to": name, "said": text}


@complaints.run
async def answer(case: Case, complaint: Complaint) -> Answer:
    await case.step(read_file, complaint.file, complaint.text)
    if complaint.deed == "break":
        raise ValueError(complaint.text)
    if complaint.deed == "stumble":
        try:
            await case.step(stumble, complaint.text)
        except StepFailed as failed:
            return Answer(said=complaint.name, why=str(failed))
    read = Read(deed=complaint.deed, name=complaint.name, text=complaint.text)
    decision = await case.decide(risk, read)
    if decision.verdict == "review":
        shown = {"from": complaint.name, complaint.name: complaint.text, "tags": complaint.tags}
        ruling = await case.review("complaints <desk>", decision, due="2h", show=shown)
        if ruling.verdict != "pay":
            return Answer(said=ruling.verdict, why=ruling.reason)
    await case.act(pay, complaint.name, complaint.text, complaint.deed == "fail to pay")
    return Answer(said=complaint.text, why=complaint.name)

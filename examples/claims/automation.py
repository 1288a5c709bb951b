"""Vehicle claims: read the receipt, ask the fraud model, let people rule where there is doubt, pay exactly once.

Field names are those of the insurer's file: a column has one name from the file to the model. `README.md` says where the
limits come from.
"""

from __future__ import annotations

import json
import math
import os
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from urllib.request import Request, urlopen

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from opsrail import (
    Automation,
    Band,
    Case,
    CompanyField,
    DateField,
    DecisionPoint,
    FeatureView,
    Fixed,
    Form,
    MoneyField,
    Objective,
    Policy,
    Queue,
    Rule,
    Ruling,
    StepFailed,
)

RECEIPT_LIMIT_USD = Decimal(100)
"""What a receipt may come to without a person looking at it."""
SPOT_CHECK_RATIO = 0.05
"""Share of approved claims that people see all the same: nothing else tells what approving misses."""

PRICE_USD = {
    "less than 20000": 15_000,
    "20000 to 29000": 25_000,
    "30000 to 39000": 35_000,
    "40000 to 59000": 50_000,
    "60000 to 69000": 65_000,
    "more than 69000": 75_000,
}
"""About the middle of each band; of the open one at the end, a little above its edge."""

MonthName = Literal[
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
]
DayName = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
WeekNumber = Annotated[int, Field(ge=1, le=5)]
Word = Annotated[str, Field(min_length=1, max_length=40)]
YesNo = Literal["Yes", "No"]
Years = Annotated[
    Annotated[int, Field(ge=16, le=120)] | None,
    BeforeValidator(lambda age: None if age in (0, "0") else age),
]
"""Age in years; the file writes 0 where it is not known."""


class Columns(BaseModel):
    """What the file says of a claim. Sex, marital status and the agent's number are left out: no decision rests on them."""

    model_config = ConfigDict(frozen=True)

    Month: MonthName
    WeekOfMonth: WeekNumber
    DayOfWeek: DayName
    Make: Word
    AccidentArea: Word
    DayOfWeekClaimed: DayName
    MonthClaimed: MonthName
    WeekOfMonthClaimed: WeekNumber
    Age: Annotated[Years, Fixed("Nobody can change their age.")]
    Fault: Literal["Policy Holder", "Third Party"]
    PolicyType: Word
    VehicleCategory: Word
    VehiclePrice: Word
    Deductible: Annotated[int, Field(ge=0, le=10_000)]
    DriverRating: Annotated[int, Field(ge=1, le=4)]
    Days_Policy_Accident: Word
    Days_Policy_Claim: Word
    PastNumberOfClaims: Word
    AgeOfVehicle: Word
    AgeOfPolicyHolder: Word
    PoliceReportFiled: YesNo
    WitnessPresent: YesNo
    AgentType: Word
    NumberOfSuppliments: Word
    AddressChange_Claim: Word
    NumberOfCars: Word
    BasePolicy: Word


class Claim(Columns):
    """One claim as it comes in; whether it is fraud is not known yet, and `FraudFound_P` is not read."""

    PolicyNumber: Annotated[int, Field(ge=1)]
    Year: Annotated[int, Field(ge=1990, le=2100)]
    receipt: Annotated[str, Field(description="path of a scanned receipt")] | None = None

    @property
    def estimate_usd(self) -> Decimal:
        """A stand-in, as the file has no amounts: a tenth of the vehicle's price band, less the deductible."""
        return max(Decimal(PRICE_USD.get(self.VehiclePrice, 0)) / 10 - self.Deductible, Decimal(0))


class Receipt(BaseModel):
    """What reading a receipt came to; without a total where there was none to read, or not surely."""

    total_usd: Decimal | None = None
    is_doubtful: bool = False


class ClaimFacts(Columns):
    """What is decided on."""

    receipt: Receipt

    @classmethod
    def of(cls, claim: Claim, receipt: Receipt) -> Self:
        return cls.model_validate(claim.model_dump() | {"receipt": receipt})


class Settlement(BaseModel):
    """How a claim ended."""

    verdict: Literal["paid", "declined"]
    amount_usd: Decimal
    ruled_by: str | None = None
    why: str


# -- what is known -----------------------------------------------------------------------------------------------------

read_receipt = Form(
    "receipt",
    fields=[
        MoneyField("total"),
        DateField("date", is_required=False),
        CompanyField("company", is_required=False),
    ],
)


def history_features(state: dict[str, int]) -> dict[str, float]:
    """Return how many claims of a make were settled (log, at most 50), and the share of fraud (smoothed, steps of 0.02)."""
    settled, frauds = state["settled"], state["frauds"]
    return {
        "vehicle-history.settled_count": math.log1p(min(settled, 50)),
        "vehicle-history.fraud_ratio": round(round((frauds + 1) / (settled + 20) / 0.02) * 0.02, 2),
    }


vehicle_history = FeatureView(
    "vehicle-history",
    version=1,
    entity=lambda facts: facts.Make,
    initial=lambda: {"settled": 0, "frauds": 0},
    fold=lambda state, fact: {
        "settled": state["settled"] + 1,
        "frauds": state["frauds"] + fact["fraud"],
    },
    read=history_features,
    fact=lambda claim, settlement: (claim.Make, {"fraud": int(settlement.verdict == "declined")}),
)

# -- what is decided ---------------------------------------------------------------------------------------------------


def claim_rules(facts: ClaimFacts) -> tuple[str, str]:
    """Answer without a model. Of liability claims 0.7 % were fraud in 1994-95, of the others 8.9 %."""
    if facts.BasePolicy == "Liability":
        return "approve", "No score could be had; liability claims are hardly ever fraud."
    return "review", "No score could be had, and the claim is more than liability."


def is_over_limit(facts: ClaimFacts) -> bool:
    total_usd = facts.receipt.total_usd
    return total_usd is not None and total_usd > RECEIPT_LIMIT_USD


fraud = DecisionPoint(
    "fraud-risk",
    request=ClaimFacts,
    features=["vehicle-history@1"],
    policy=Policy(
        bands=[Band("approve", below=0.02), Band("review", below=1.01)],
        rules=[
            Rule(
                "receipt-doubtful",
                lambda facts: facts.receipt.is_doubtful,
                "review",
                "The receipt could not be read well enough.",
            ),
            Rule(
                "receipt-over-limit",
                is_over_limit,
                "review",
                f"The receipt comes to more than {RECEIPT_LIMIT_USD} USD.",
            ),
            Rule(
                "no-police-report",
                lambda facts: (
                    facts.VehiclePrice == "more than 69000"
                    and facts.Fault == "Policy Holder"
                    and facts.PoliceReportFiled == "No"
                ),
                "review",
                "The vehicle is worth more than 69,000 USD, its own driver was at fault, and no police report was filed.",
            ),
            Rule(
                "policy-days-old",
                lambda facts: facts.Days_Policy_Accident in ("none", "1 to 7"),
                "review",
                "The accident happened within a week of the policy's start.",
            ),
        ],
        on_unknown="review",
    ),
    fallback=claim_rules,
    deadline_ms=2_000,
    impact="high",
    labels={"fraud": {"decline": 1, "approve": 0}},
)

# -- what people are asked ---------------------------------------------------------------------------------------------


class Correction(BaseModel):
    """What a person may put right before a claim is paid."""

    amount_usd: Annotated[
        Decimal, Field(ge=0, le=100_000, title="Amount, USD", description="what to pay")
    ]


claims_desk = Queue(
    "claims-desk",
    title="Claims desk",
    question="Do we pay this claim?",
    verdicts=("approve", "decline"),
    form=Correction,
    due="4h",
)

# -- what is done ------------------------------------------------------------------------------------------------------

claims = Automation(
    "claims-intake",
    case=Claim,
    outcome=Settlement,
    key="PolicyNumber",
    history=[vehicle_history],
    objective=Objective(
        kpi="time_to_resolution", target="p50 < 4 h", unacceptable={"paid_fraud": 0.01}
    ),
)


@claims.action()
def pay(key: str, claim_number: int, amount_usd: Decimal) -> Any:
    """Pay a claim at `CLAIMS_PAYMENTS_URL`, which pays a key once; without that setting nothing is paid."""
    url = os.environ.get("CLAIMS_PAYMENTS_URL")
    if not url:
        return {"paid": False, "why": "CLAIMS_PAYMENTS_URL is not set"}
    body = json.dumps({"claim": claim_number, "amount_usd": str(amount_usd)}).encode()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    with urlopen(Request(url, body, headers), timeout=10) as answer:  # noqa: S310 - the operator's own URL
        return json.load(answer)


@claims.run
async def intake(case: Case, claim: Claim) -> Settlement:
    receipt = await receipt_of(case, claim)
    amount_usd = claim.estimate_usd if receipt.total_usd is None else receipt.total_usd
    decision = await case.decide(fraud, ClaimFacts.of(claim, receipt))
    ruling: Ruling | None = None
    is_doubtful = decision.verdict == "review"
    if is_doubtful or await case.random() < SPOT_CHECK_RATIO:
        sampled = None if is_doubtful else SPOT_CHECK_RATIO
        values = {"amount_usd": amount_usd}
        ruling = await case.review(
            claims_desk, decision, show=receipt, sampled=sampled, values=values
        )
        if ruling.verdict != "approve":
            return Settlement(
                verdict="declined",
                amount_usd=Decimal(0),
                ruled_by=ruling.ruled_by,
                why=ruling.reason,
            )
        amount_usd = Decimal(str(ruling.fields.get("amount_usd", amount_usd)))
    await case.act(pay, claim.PolicyNumber, amount_usd)
    why = ruling.reason if ruling else decision.reasons[0].text
    return Settlement(
        verdict="paid", amount_usd=amount_usd, ruled_by=ruling and ruling.ruled_by, why=why
    )


async def receipt_of(case: Case, claim: Claim) -> Receipt:
    """Return what the claim's receipt comes to; one that cannot be read at all is as doubtful as one read badly."""
    if claim.receipt is None:
        return Receipt()
    try:
        document = await case.step(read_receipt, claim.receipt)
    except StepFailed:
        return Receipt(is_doubtful=True)
    if not read_receipt.is_readable(document):
        return Receipt(is_doubtful=True)
    return Receipt(total_usd=document.field("total").value)

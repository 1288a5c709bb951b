"""The claims file read in the order of time, and the features of a claim that the fraud model reads."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping
from pathlib import Path

CLAIMS_FILE = Path(__file__).parent / "data" / "claims.csv.gz"
LABEL = "FraudFound_P"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKS_PER_MONTH = 5
NUMBERS = ("WeekOfMonth", "WeekOfMonthClaimed", "Age", "Deductible", "DriverRating")
LEFT_OUT = {
    LABEL: "the truth to be found",
    "PolicyNumber": "the row's id; it says nothing about the next claim",
    "Year": "a live claim is of a year that training never saw; all it can teach is what past years were like",
    "RepNumber": "a person's number; the model judges claims, not the people around them",
    "Sex": "a protected ground; with it and MaritalStatus the AUC on 1996 rose by less than 0.001",
    "MaritalStatus": "as Sex",
}
"""Columns the model must not read, and why."""


def read_claims(path: Path = CLAIMS_FILE) -> list[dict[str, str]]:
    """Return all rows in the order of their weeks; within a week in the order of the file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return sorted(csv.DictReader(lines), key=week_of)


def week_of(row: Mapping[str, str]) -> int:
    """Return the week of the accident, counted from year 0 in months of five weeks."""
    months = int(row["Year"]) * len(MONTHS) + MONTHS.index(row["Month"])
    return months * WEEKS_PER_MONTH + int(row["WeekOfMonth"]) - 1


def is_fraud(row: Mapping[str, str]) -> bool:
    return row[LABEL] == "1"


def claim_features(row: Mapping[str, str]) -> dict[str, object]:
    """Return what the model reads of one row of the file: words as they are, numbers as floats, Age 0 as not known."""
    features: dict[str, object] = {
        name: float(word) if name in NUMBERS else word
        for name, word in row.items()
        if name not in LEFT_OUT
    }
    if features["Age"] == 0.0:
        features["Age"] = None
    return features

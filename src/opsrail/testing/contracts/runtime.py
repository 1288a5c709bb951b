"""What `ports.ModelRuntime` and the models that it loads promise.

Subclass `RuntimeContract` and give it a fixture `subject`: a runtime with one artifact of its own and what is known of it. A
runtime that computes in this process also subclasses `InProcessContract`. The tests are plain functions: no loop is needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from opsrail.errors import ArtifactRefused, InvalidInput
from opsrail.ports import LoadedModel, ModelRuntime
from opsrail.testing.contracts.deeds import outside_deeds
from opsrail.values.canonical import digest
from opsrail.values.models import Score

Row = Mapping[str, object]
THREADS = 8
PICKLE = (
    b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94"
    b"\x8c\x04true\x94\x85\x94R\x94."
)
"""What `pickle` would run as a command."""
FOREIGN: Mapping[str, bytes] = {
    "nothing": b"",
    "text": b"no model at all",
    "pickle": PICKLE,
    "zip": b"PK\x03\x04" + bytes(60),
    "zeros": bytes(4096),
    "deep-json": b"[" * 100_000,
    "deep-objects": b'{"a":' * 100_000,
    "json-null": b"null",
    "json-number": b"1e999999",
    "shebang": b"#!/bin/sh\nexit 1\n",
}
"""Bytes that are no artifact of any runtime."""


@dataclass(frozen=True)
class Subject:
    """A runtime with one artifact, and what is known of it.

    Attributes:
        artifact: Loads; its model reads named features.
        rows: At least 8 rows that training knew every value of, with different scores.
        truths: What whoever trained the model says of the rows; none: that is not compared.
        tolerance: How far scores may stand from the truths. Probability.
        batch_tolerance: How far a row's score may move with the rows beside it. Probability; 0: not by a bit.
        number: A feature that must be a finite int or float; None: the model has none.
        word: A feature that must be text; None: the model has none.
        gap: A feature that may be missing, as None; None: the model has none.
        largest_bytes: An artifact above this size is refused.
        refused: Artifacts that must be refused for what they hold, by what that is.
    """

    runtime: ModelRuntime
    artifact: bytes
    rows: Sequence[Row]
    truths: Sequence[float] = ()
    tolerance: float = 1e-6
    batch_tolerance: float = 0.0
    number: str | None = None
    word: str | None = None
    gap: str | None = None
    largest_bytes: int = 200 * 1024 * 1024
    refused: Mapping[str, bytes] = field(default_factory=dict)

    def load(self, artifact: bytes | None = None) -> LoadedModel:
        """Load an artifact as the registry does, with the digest that its bytes have."""
        given = self.artifact if artifact is None else artifact
        return self.runtime.load(given, digest(given))


class RuntimeContract:
    """What the decision road relies on, wherever the model computes."""

    def test_a_model_knows_its_digest_and_signs_its_scores_with_it(self, subject: Subject) -> None:
        model = subject.load()

        assert model.digest == digest(subject.artifact)
        assert {score.digest for score in model.score(subject.rows)} == {digest(subject.artifact)}

    def test_scores_are_probabilities_in_the_order_of_the_rows(self, subject: Subject) -> None:
        model = subject.load()
        values = _values(model.score(subject.rows))

        assert len(values) == len(subject.rows) >= 8
        assert all(0 <= value <= 1 for value in values)
        assert len({round(value, 9) for value in values}) > 1, "rows of one score show no order"
        assert _values(model.score(subject.rows[::-1])) == pytest.approx(
            values[::-1], rel=0, abs=subject.batch_tolerance
        )

    def test_scores_are_what_the_trained_model_says(self, subject: Subject) -> None:
        if not subject.truths:
            pytest.skip("this runtime's artifact has nothing to be compared with")

        assert _values(subject.load().score(subject.rows)) == pytest.approx(
            list(subject.truths), rel=0, abs=subject.tolerance
        )

    def test_a_row_scores_the_same_alone_and_in_a_batch(self, subject: Subject) -> None:
        model = subject.load()
        rows = [subject.rows[place % len(subject.rows)] for place in range(100)]
        alone = {place: model.score([row])[0] for place, row in enumerate(subject.rows)}

        for count in (2, 3, 8, 64, 65, 100):
            for place, score in enumerate(model.score(rows[:count])):
                twin = alone[place % len(subject.rows)]
                assert score.unknown == twin.unknown
                assert abs(score.value - twin.value) <= subject.batch_tolerance

    def test_no_rows_give_no_scores(self, subject: Subject) -> None:
        assert subject.load().score([]) == []

    def test_scoring_twice_and_loading_twice_give_the_same_bits(self, subject: Subject) -> None:
        model = subject.load()
        first = model.score(subject.rows)

        assert model.score(subject.rows) == first
        assert subject.load().score(subject.rows) == first

    def test_rows_are_not_changed_and_other_features_are_ignored(self, subject: Subject) -> None:
        model = subject.load()
        rows = [dict(row) for row in subject.rows]
        more = [row | {"a feature of another model": object()} for row in rows]

        assert model.score(more) == model.score(rows)
        assert rows == [dict(row) for row in subject.rows]

    def test_several_threads_may_score_at_once(self, subject: Subject) -> None:
        model = subject.load()
        rows = [subject.rows[place % len(subject.rows)] for place in range(40)]
        sizes = [1 + place % 5 for place in range(40)]
        alone = [model.score([row] * size) for row, size in zip(rows, sizes, strict=True)]

        with ThreadPoolExecutor(THREADS) as pool:
            together = list(pool.map(lambda job: model.score([job[0]] * job[1]), zip(rows, sizes, strict=True)))  # fmt: skip

        assert together == alone

    # -- what a row may hold -----------------------------------------------------------------------------------------

    def test_known_rows_hold_nothing_unknown(self, subject: Subject) -> None:
        assert {score.unknown for score in subject.load().score(subject.rows)} == {()}

    def test_a_word_that_training_did_not_know_is_scored_and_told(self, subject: Subject) -> None:
        word = _named(subject.word)
        row = {**subject.rows[0], word: "no word that anybody ever trained on"}

        known, strange = subject.load().score([subject.rows[0], row])

        assert (known.unknown, strange.unknown) == ((), (word,))

    def test_a_missing_value_that_may_be_missing_is_scored_and_told(self, subject: Subject) -> None:
        gap = _named(subject.gap)

        (score,) = subject.load().score([{**subject.rows[0], gap: None}])

        assert score.unknown == (gap,)

    @pytest.mark.parametrize(
        "value",
        [None, "1.5", math.nan, math.inf, -math.inf, 1e39, 10**400, [1.0], b"1"],
        ids=repr,
    )
    def test_a_number_that_is_none_is_refused(self, subject: Subject, value: object) -> None:
        number = _named(subject.number)
        row = {**subject.rows[0], number: value}

        assert _fault_places(subject.load(), [subject.rows[1], row]) == [f"rows[1].{number}"]

    def test_a_truth_is_the_number_one_or_zero(self, subject: Subject) -> None:
        number = _named(subject.number)
        values = (True, 1, False, 0)

        scores = subject.load().score([{**subject.rows[0], number: value} for value in values])

        assert (scores[0], scores[2]) == (scores[1], scores[3])

    @pytest.mark.parametrize("value", [1, 2.5, True, b"text", ["text"]], ids=repr)
    def test_a_word_that_is_no_text_is_refused(self, subject: Subject, value: object) -> None:
        word = _named(subject.word)

        assert _fault_places(subject.load(), [{**subject.rows[0], word: value}]) == [
            f"rows[0].{word}"
        ]

    def test_all_faults_of_all_rows_are_told_and_none_is_scored(self, subject: Subject) -> None:
        names = [name for name in (subject.number, subject.word, subject.gap) if name]
        if not names:
            pytest.skip("this model does not say what it reads")
        wrong = {**subject.rows[0], **{name: [] for name in names}}
        absent = {name: value for name, value in subject.rows[0].items() if name not in names}

        places = _fault_places(subject.load(), [wrong, subject.rows[1], absent])

        assert sorted(places) == sorted(f"rows[{row}].{name}" for row in (0, 2) for name in names)

    # -- what an artifact may be -------------------------------------------------------------------------------------

    @pytest.mark.parametrize("place", [0, 0.3, 0.7, 1.0])
    def test_one_changed_byte_and_the_artifact_is_not_loaded(
        self, subject: Subject, place: float
    ) -> None:
        changed = bytearray(subject.artifact)
        changed[min(len(changed) - 1, int(place * len(changed)))] ^= 1

        with pytest.raises(ArtifactRefused):
            subject.runtime.load(bytes(changed), digest(subject.artifact))

    @pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.9, 0.999])
    def test_an_artifact_that_was_cut_off_is_refused(self, subject: Subject, share: float) -> None:
        with pytest.raises(ArtifactRefused):
            subject.load(subject.artifact[: int(len(subject.artifact) * share)])

    @pytest.mark.parametrize("kind", FOREIGN)
    def test_bytes_that_are_no_artifact_are_refused(self, subject: Subject, kind: str) -> None:
        with pytest.raises(ArtifactRefused):
            subject.load(FOREIGN[kind])

    def test_an_artifact_that_is_too_large_is_refused(self, subject: Subject) -> None:
        with pytest.raises(ArtifactRefused):
            subject.load(subject.artifact + bytes(subject.largest_bytes))

    def test_what_an_artifact_may_not_hold_is_refused(self, subject: Subject) -> None:
        loaded = []
        for what, artifact in subject.refused.items():
            try:
                subject.load(artifact)
                loaded.append(what)
            except ArtifactRefused:
                continue

        assert loaded == []


class InProcessContract:
    """What else holds where artifacts are read and computed in this process."""

    def test_loading_and_scoring_touch_no_file_and_no_network_and_unpickle_nothing(
        self, subject: Subject
    ) -> None:
        subject.load().score(subject.rows)  # packages are imported with the first model

        with outside_deeds() as deeds:
            model = subject.load()
            model.score(subject.rows)
            model.score(subject.rows[:1])

        assert deeds == []

    def test_refused_artifacts_touch_no_file_and_no_network_and_unpickle_nothing(
        self, subject: Subject
    ) -> None:
        hostile = [*FOREIGN.values(), *subject.refused.values()]
        for artifact in hostile:
            with pytest.raises(ArtifactRefused):
                subject.load(artifact)

        with outside_deeds() as deeds:
            for artifact in hostile:
                with pytest.raises(ArtifactRefused):
                    subject.load(artifact)

        assert deeds == []


def _values(scores: Sequence[Score]) -> list[float]:
    return [score.value for score in scores]


def _named(feature: str | None) -> str:
    if feature is None:
        pytest.skip("this model has no feature of that kind")
    return feature


def _fault_places(model: LoadedModel, rows: Sequence[Row]) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        model.score(rows)
    assert model.digest in str(caught.value) or caught.value.faults
    return [fault.place for fault in caught.value.faults]

"""A model in child processes: it answers as it does in this process, and what it does to them stays theirs."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from opsrail.clock import SystemClock
from opsrail.connect.catalog import FACTORY as KNOWN
from opsrail.connect.child import ChildLimits, ChildModel, ChildRuntime
from opsrail.connect.onnx import OnnxRuntime
from opsrail.errors import (
    ArtifactRefused,
    InvalidInput,
    ModelCrashed,
    ModelStarting,
    ModelUnavailable,
)
from opsrail.ports import CellModel, ContributingModel
from opsrail.registry.prewarming import Prewarming
from opsrail.values.canonical import digest
from opsrail.values.models import ModelVersion
from tests.support.breaking import FACTORY
from tests.support.forests import artifact_of, random_trees

Load = Callable[..., ChildModel]
WAIT_S = 30
"""How long a test waits for what has to come. Ours: a loaded machine starts an interpreter in seconds."""
SOON_S = 10.0
"""What is far below the minute in which a test gives a child time to hang, and far above what a busy machine adds. Ours."""


@pytest.fixture
def load() -> Iterator[Load]:
    """Load in child processes; they are ended afterwards."""
    models: list[ChildModel] = []

    def loaded(
        artifact: bytes = b"a", runtime: str = "breaking", factory: str = FACTORY, **limits: Any
    ) -> ChildModel:
        runtime_ = ChildRuntime(runtime, factory, ChildLimits(**limits), SystemClock())
        model = runtime_.load(artifact, digest(artifact))
        assert isinstance(model, ChildModel)
        models.append(model)
        return model

    yield loaded
    for model in models:
        model.close()
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("keep ")]
    until_s = time.monotonic() + WAIT_S
    while left and time.monotonic() < until_s:
        time.sleep(0.01)
        left = [each.name for each in threading.enumerate() if each.name.startswith("keep ")]
    assert left == []


def until(is_so: Callable[[], bool], what: str) -> None:
    until_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < until_s, f"never: {what}"
        time.sleep(0.005)


def processes_of(model: ChildModel, count: int) -> set[str]:
    """Return the process ids that answered a batch of so many rows."""
    return {score.unknown[0] for score in model.score([{"x": 0.5}] * count)}


def test_an_onnx_model_answers_and_explains_in_a_child_as_it_does_here(load: Load) -> None:
    artifact = artifact_of(random_trees(1, columns=6, trees=30, depth=4), 6)
    here = OnnxRuntime().load(artifact, digest(artifact))
    there = load(artifact, "onnx", KNOWN)
    chance = random.Random(0)
    rows: list[Mapping[str, object]] = [
        {f"f{place}": chance.uniform(-2, 2) for place in range(6)} for _ in range(50)
    ]

    assert there.score(rows) == here.score(rows)
    assert there.score([]) == []
    assert isinstance(here, ContributingModel)
    assert isinstance(here, CellModel)
    assert there.contributions(rows[:3]) == here.contributions(rows[:3])
    assert there.cells() == here.cells()
    assert there.reach(rows[0], ["f1"]) == here.reach(rows[0], ["f1"])


def test_a_model_without_reasons_has_none_in_a_child_either(load: Load) -> None:
    model = load()

    assert model.contributions([{"x": 0.5}]) is None
    assert (model.cells().features, model.reach({"x": 0.5}, [])) == ({}, (0.0, 1.0))


def test_what_a_model_refuses_raises_and_prints_ends_nothing(load: Load) -> None:
    model = load()
    with pytest.raises(InvalidInput, match="no such row"):
        model.score([{"x": 0.5, "deed": "refuse"}])
    with pytest.raises(ModelUnavailable, match="ZeroDivisionError") as failed:
        model.score([{"x": 0.5, "deed": "raise"}])
    with pytest.raises(InvalidInput, match="cannot be told"):
        model.score([{"x": object()}])

    assert "a value of the row" not in str(failed.value)
    assert len(model.score([{"x": 0.5, "deed": "print"}])) == 1
    assert model.health().crashes == 0


def test_an_artifact_that_is_refused_or_ends_its_process_is_not_loaded(load: Load) -> None:
    with pytest.raises(ArtifactRefused, match="not this one"):
        load(b"refused")
    with pytest.raises(ModelUnavailable, match="died"):
        load(b"dies")
    with pytest.raises(ModelUnavailable, match="KeyError"):
        load(runtime="gone")
    with pytest.raises(ArtifactRefused, match="damaged"):
        ChildRuntime("breaking", FACTORY, ChildLimits(), SystemClock()).load(b"a", digest(b"b"))


def test_a_model_is_told_nothing_of_the_environment_but_where_things_are(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "canary")
    with pytest.raises(ModelUnavailable) as told:
        load().score([{"x": 0.5, "deed": "environment"}])

    assert set(str(told.value).rpartition(": ")[2].split()) <= {
        "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS",
    }  # fmt: skip


def test_a_child_that_died_while_nobody_asked_is_replaced_before_anybody_does(load: Load) -> None:
    model = load()
    (pid,) = processes_of(model, 1)
    os.kill(int(pid), 9)
    until(lambda: model.health().crashes == 1 and model.health().children == 1, "replaced")

    assert processes_of(model, 1) != {pid}


def test_while_a_child_is_being_started_it_is_refused_at_once(load: Load, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    model = load(str(hold).encode())
    hold.touch()
    with pytest.raises(ModelCrashed):
        model.score([{"x": 0.5, "deed": "abort"}])
    begun_s = time.monotonic()
    with pytest.raises(ModelStarting):
        model.score([{"x": 0.5}])
    took_s = time.monotonic() - begun_s
    hold.unlink()

    assert took_s < SOON_S
    until(lambda: model.health().children == 1, "there again")


def test_crashes_are_noticed_at_once_while_other_children_are_started(load: Load) -> None:
    """A pipe's number that another child's pipe takes over would be waited on in vain, or worse, be read."""
    took_s = []
    for _ in range(10):
        model = load(batch_s=60.0)
        begun_s = time.monotonic()
        with pytest.raises(ModelCrashed, match="died"):
            model.score([{"x": 0.5, "deed": "abort"}])
        took_s.append(time.monotonic() - begun_s)
        threading.Thread(target=model.close).start()

    assert max(took_s) < SOON_S


def test_a_crash_of_one_child_leaves_the_others(load: Load) -> None:
    model = load(least=2, most=2)
    until(lambda: model.health().children == 2, "two children")
    (crashing,) = processes_of(model, 1)  # the one that is asked next, too
    with pytest.raises(ModelCrashed):
        model.score([{"x": 0.5, "deed": "abort"}])
    rest = processes_of(model, 8)

    assert model.at_once == 2
    assert crashing not in rest


def test_children_are_as_many_as_are_wanted_within_their_bounds(load: Load) -> None:
    model = load(least=1, most=3)
    for wanted, expected in ((3, 3), (9, 3), (2, 2), (0, 1)):
        model.scale(wanted)
        until(lambda: model.health().children == expected, f"{expected} children")  # noqa: B023
        assert len(model.score([{"x": 0.5}] * 64)) == 64

    assert model.health().crashes == 0


def test_a_child_that_hangs_is_ended_after_its_time(load: Load) -> None:
    model = load(batch_s=0.3)
    begun_s = time.monotonic()
    with pytest.raises(ModelCrashed, match="hung"):
        model.score([{"x": 0.5, "deed": "hold"}])

    assert 0.25 < time.monotonic() - begun_s < SOON_S
    until(lambda: model.health().children == 1, "back")


def test_a_child_that_needs_too_much_memory_is_ended_and_replaced(load: Load) -> None:
    model = load(memory_bytes=300_000_000)
    with pytest.raises(ModelCrashed):
        model.score([{"x": 0.5, "deed": "memory"}])
    until(lambda: model.health().children == 1, "back")


def test_several_threads_may_ask_at_once(load: Load) -> None:
    model = load(least=2, most=2)
    wrong: list[object] = []

    def ask(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(100):
            values = [chance.random() for _ in range(chance.choice([1, 8, 40]))]
            scores = [score.value for score in model.score([{"x": value} for value in values])]
            if scores != values:
                wrong.append((values, scores))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_closing_does_not_wait_for_a_child_that_hangs(load: Load) -> None:
    model = load(batch_s=60.0)

    def ask() -> None:
        with pytest.raises(ModelCrashed):
            model.score([{"x": 0.5, "deed": "hold"}])

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: bool(model._asked), "asked")
    begun_s = time.monotonic()
    model.close()
    asking.join()

    assert time.monotonic() - begun_s < SOON_S


def test_children_are_started_ahead_of_the_work_that_the_forecast_expects(load: Load) -> None:
    """Time is told to the forecast by hand; the children and their work are real."""
    model = load(least=1, most=3)
    pools = _Held(model)
    prewarming = Prewarming(pools, SystemClock())  # type: ignore[arg-type]
    for second in range(120):
        prewarming.look(float(second))
        model.busy_s += (
            1.5 if second < 60 else 0.0
        )  # as two children that are busy most of the time
    until(lambda: model.health().children == 3, "as many as the work needs")
    for second in range(120, 4_000, 10):
        prewarming.look(float(second))
    until(lambda: model.health().children == 1, "those that are always ready")

    assert len(model.score([{"x": 0.5}])) == 1


class _Held:
    def __init__(self, model: ChildModel) -> None:
        self._model = model

    def held(self) -> Iterator[tuple[str, ModelVersion, ChildModel]]:
        yield (
            "local",
            ModelVersion("m", 1, self._model.digest, "breaking", "", {}, {}, 0),
            self._model,
        )

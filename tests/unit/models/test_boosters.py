from __future__ import annotations

import importlib.util
import itertools
import json
import math
import re
from typing import Any

import lightgbm
import numpy as np
import pyarrow
import pytest
import xgboost

from opsrail.connect import native
from opsrail.connect.formats import LightgbmFile, XgboostFile
from opsrail.connect.lightgbm import FORM, LightgbmRuntime
from opsrail.connect.lightgbm_text import read_text
from opsrail.connect.xgboost import FORM as XGBOOST_FORM
from opsrail.connect.xgboost import XgboostRuntime
from opsrail.connect.xgboost_file import read_file
from opsrail.errors import ArtifactRefused, MissingExtra
from opsrail.ports import CellModel, ContributingModel, LoadedModel, ModelRuntime
from opsrail.registry.importing import Told, signature_of
from opsrail.values.canonical import digest
from opsrail.values.columns import Number, category
from opsrail.values.containers import Signature, pack
from tests.contract.runtime.boosters import (
    COLUMNS,
    lightgbm_booster,
    rows_of,
    training_rows,
    xgboost_booster,
)

Known = tuple[LoadedModel, Any, list[dict[str, object]]]


def known_rows() -> Any:
    numbers, _ = training_rows()
    return numbers[~np.isnan(numbers).any(axis=1)][:30]


def loaded(runtime: ModelRuntime, content: bytes, form: str, **told: Any) -> LoadedModel:
    artifact = pack(content, form, Signature(COLUMNS, **told))
    return runtime.load(artifact, digest(artifact))


def lightgbm_model(**params: Any) -> tuple[LoadedModel, Any]:
    booster = lightgbm_booster(**params)
    return loaded(LightgbmRuntime(), booster.model_to_string().encode(), FORM), booster


@pytest.mark.parametrize("params", [{}, {"sigmoid": 2.5}, {"objective": "cross_entropy"}])
def test_lightgbm_contributions_are_the_boosters_own(params: dict[str, Any]) -> None:
    model, booster = lightgbm_model(**params)
    rows = known_rows()
    assert isinstance(model, ContributingModel)

    told = model.contributions(rows_of(rows))

    own = booster.predict(rows, pred_contrib=True) * params.get("sigmoid", 1.0)
    assert told is not None
    assert [[*one.parts.values(), one.baseline] for one in told] == own.tolist()
    assert [one.score for one in told] == pytest.approx(booster.predict(rows).tolist(), abs=1e-9)


def test_a_random_forest_of_lightgbm_is_the_logistic_of_its_trees_mean() -> None:
    params = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}
    model, booster = lightgbm_model(**params)
    rows = known_rows()
    assert isinstance(model, ContributingModel)

    scores = [score.value for score in model.score(rows_of(rows))]
    told = model.contributions(rows_of(rows))

    assert scores == booster.predict(rows).tolist()
    assert told is not None
    assert [one.score for one in told] == pytest.approx(scores, abs=1e-9)


def test_xgboost_contributions_are_the_boosters_own() -> None:
    booster, rows = xgboost_booster(), known_rows()
    model = loaded(XgboostRuntime(), bytes(booster.save_raw("ubj")), XGBOOST_FORM)
    assert isinstance(model, ContributingModel)

    told = model.contributions(rows_of(rows))

    names, kinds = ["age", "amount_usd", "kind"], ["float", "float", "c"]
    matrix = xgboost.DMatrix(
        rows, feature_names=names, feature_types=kinds, enable_categorical=True
    )
    own = booster.predict(matrix, pred_contribs=True)
    assert told is not None
    assert [[*one.parts.values(), one.baseline] for one in told] == own.tolist()


def test_json_and_ubjson_of_one_xgboost_model_are_written_alike() -> None:
    booster = xgboost_booster()

    files = [read_file(bytes(booster.save_raw(form))) for form in ("json", "ubj")]

    assert files[0] == files[1]
    assert files[0].names == ("age", "amount_usd", "kind")
    assert files[0].categorical == (2,)


def test_a_constant_tree_of_lightgbm_is_read() -> None:
    model, booster = lightgbm_model(min_data_in_leaf=10_000)

    (score,) = model.score(rows_of(known_rows()[:1]))

    assert score.value == booster.predict(known_rows()[:1])[0]


def test_what_lightgbm_knows_of_its_features_is_read() -> None:
    text = lightgbm_booster().model_to_string() + '\npandas_categorical:[["van", "truck"]]\n'

    told = read_text(text.replace("pandas_categorical:null\n", "").encode())

    numbers, _ = training_rows()
    assert (told.names, told.categorical) == (("age", "amount_usd", "kind"), (2,))
    assert told.words == [["van", "truck"]]
    assert told.lows == (numbers[:, 0].min(), np.nanmin(numbers[:, 1]), None)


def test_what_training_saw_is_told_of_cells() -> None:
    text = lightgbm_booster().model_to_string().encode()
    reference = {"lows": [0.0, 0.125, None], "highs": [1.0, 0.875, None]}
    model = loaded(LightgbmRuntime(), text, FORM, reference=reference)
    assert isinstance(model, CellModel)

    cells = model.cells().features

    assert (cells["amount_usd"].low, cells["amount_usd"].high) == (0.125, 0.875)
    assert cells["kind"].codes == {"van": 0.0, "truck": 1.0, "car": 2.0, "bus": 3.0}


@pytest.mark.parametrize(
    "told",
    [
        {"reference": {"lows": [0.0]}},
        {"reference": {"highs": "high"}},
        {"confidence": {"edges": [2], "confidences": []}},
        {"confidence": {}},
    ],
)
def test_a_signature_that_makes_no_sense_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ArtifactRefused, match="cannot be read"):
        loaded(LightgbmRuntime(), lightgbm_booster().model_to_string().encode(), FORM, **told)


@pytest.mark.parametrize("package", ["lightgbm", "xgboost"])
def test_without_the_library_the_error_says_what_to_install(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    native.library.cache_clear()
    find = importlib.util.find_spec
    hidden: Any = lambda name: None if name == package else find(name)  # noqa: E731
    monkeypatch.setattr(native, "find_spec", hidden)

    with pytest.raises(MissingExtra, match=r"pip install 'opsrail\[boosters\]'"):
        native.library(package, "lib", f"The {package} model runtime", "boosters")


def test_missing_numbers_go_where_training_sent_them() -> None:
    numbers, _ = training_rows()
    gaps = numbers[np.isnan(numbers[:, 1])][:10]
    model, booster = lightgbm_model()
    rows = rows_of(np.nan_to_num(gaps))

    scores = model.score([row | {"amount_usd": math.nan} for row in rows])

    assert [score.value for score in scores] == booster.predict(gaps).tolist()
    assert {score.unknown for score in scores} == {("amount_usd",)}


def test_a_split_of_gaps_from_all_numbers_is_read() -> None:
    ages = np.arange(200.0) % 7
    ages[::2] = np.nan
    numbers = np.column_stack([ages, np.ones(200), np.zeros(200)])
    data = lightgbm.Dataset(numbers, np.isnan(ages), feature_name=["age", "amount_usd", "kind"])
    settings = {"objective": "binary", "verbose": -1, "num_leaves": 4, "num_threads": 1}
    booster = lightgbm.train(settings, data, num_boost_round=5)
    columns = (Number("age", math.nan), Number("amount_usd", math.nan), Number("kind"))
    text = booster.model_to_string()
    assert re.search("^threshold=.*inf", text, re.MULTILINE)
    artifact = pack(text.encode(), FORM, Signature(columns))

    model = LightgbmRuntime().load(artifact, digest(artifact))

    rows = [{"age": age, "amount_usd": 1.0, "kind": 0.0} for age in (None, -1e30, 0.0, 1e30)]
    asked = np.array([[age, 1.0, 0.0] for age in (math.nan, -1e30, 0.0, 1e30)])
    own: Any = booster.predict(asked)
    assert [score.value for score in model.score(rows)] == own.tolist()
    assert all(map(math.isfinite, itertools.chain(*read_text(text.encode()).edges.values())))


def test_categories_are_not_asked_for_by_infinity() -> None:
    text = lightgbm_booster().model_to_string()
    endless = re.sub(
        "(?m)^threshold=(.*)$", lambda told: re.sub("[^ =]+", "inf", told[0][9:]), text
    )
    assert "num_cat=" in re.sub("num_cat=0", "", text)

    with pytest.raises(ArtifactRefused, match="categories"):
        read_text(endless.replace("\n=inf", "\nthreshold=inf").encode())


def test_xgboost_json_may_be_written_with_spaces() -> None:
    content = json.loads(bytes(xgboost_booster().save_raw("json")))

    assert read_file(json.dumps(content, indent=1).encode()).count == 3


def frame_booster(categories: list[str]) -> tuple[Any, Any]:
    """Return a booster trained on a data frame's column of categories, and its rows as numbers."""
    numbers, truths = training_rows()
    kinds = pyarrow.array(numbers[:, 2].astype(int) % len(categories), pyarrow.int32())
    column = pyarrow.DictionaryArray.from_arrays(kinds, pyarrow.array(categories))
    table = pyarrow.table({"age": numbers[:, 0], "kind": column})
    data = xgboost.DMatrix(table, truths, enable_categorical=True)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 2}, data, 5)
    return booster, np.column_stack([numbers[:, 0], kinds.to_numpy()]).astype(np.float32)


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_categories_of_a_data_frame_are_read_in_the_order_of_their_numbers(
    form: str,
) -> None:
    categories = ["van", "truck", "K\N{LATIN SMALL LETTER A WITH DIAERESIS}fer"]
    booster, numbers = frame_booster(categories)
    content = bytes(booster.save_raw(form))

    told = XgboostFile().describe(content)

    assert told.words == {1: categories}
    signature = Signature((Number("age"), category("kind", categories)))
    artifact = XgboostFile().artifact(content, signature)
    rows = [{"age": age, "kind": categories[int(kind)]} for age, kind in numbers[:50].tolist()]
    scores = XgboostRuntime().load(artifact, digest(artifact)).score(rows)
    twin = xgboost.Booster(model_file=bytearray(read_file(content).content))
    assert [score.value for score in scores] == twin.inplace_predict(numbers[:50]).tolist()


def test_training_that_went_on_past_its_best_round_is_noted() -> None:
    booster = xgboost_booster()
    booster.set_attr(best_iteration="4")

    (note,) = XgboostFile().describe(bytes(booster.save_raw("json"))).notes

    assert note.startswith("Training thought 5 rounds best")


def test_categories_that_the_file_numbers_but_does_not_tell_must_be_told() -> None:
    text = (
        lightgbm_booster()
        .model_to_string()
        .replace("pandas_categorical:null", 'pandas_categorical:[["a"], ["b"]]')
    )

    described = LightgbmFile().describe(text.encode())
    inferred = signature_of(described, Told(), None)

    assert [fault.place for fault in inferred.faults] == ["columns.kind"]


def test_categories_of_a_data_frame_that_are_no_text_must_be_told() -> None:
    content = json.loads(bytes(frame_booster(["van", "truck"])[0].save_raw("json")))
    content["learner"]["gradient_booster"]["model"]["cats"]["enc"][1] = {"values": [10, 20]}

    inferred = signature_of(XgboostFile().describe(json.dumps(content).encode()), Told(), None)

    assert [fault.place for fault in inferred.faults] == ["columns.kind"]


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
def test_scores_are_constant_between_the_edges_that_a_booster_tells(kind: str) -> None:
    if kind == "lightgbm":
        model, _ = lightgbm_model()
        step = np.float64
    else:
        model = loaded(XgboostRuntime(), bytes(xgboost_booster().save_raw("ubj")), XGBOOST_FORM)
        step = np.float32  # type: ignore[assignment]
    assert isinstance(model, CellModel)
    cells = model.cells()
    rows = rows_of(known_rows())

    def scores(name: str, number: float) -> list[float]:
        return [score.value for score in model.score([row | {name: number} for row in rows])]

    assert cells.is_whole
    moved = 0
    for name in ("age", "amount_usd"):
        edges = cells.features[name].edges
        assert list(edges) == sorted(set(edges))
        for low, high in itertools.pairwise((-1.0, *edges)):
            above = float(np.nextafter(step(low), step(np.inf)))
            assert scores(name, above) == scores(name, (low + high) / 2) == scores(name, high)
            moved += scores(name, float(np.nextafter(step(high), step(np.inf)))) != scores(
                name, high
            )
    assert moved > 5

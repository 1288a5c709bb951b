"""How the command line reads what several commands take."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from opsrail.app.taking_models import kinds_of
from opsrail.cli.options import VersionText, version_argument
from opsrail.errors import InvalidInput
from opsrail.features.view import FeatureView
from opsrail.values.bands import Band, bands_of
from opsrail.values.versions import version_of


@click.command()
@click.argument("point")
@version_argument
def promote(point: str, version: tuple[str, int]) -> None:
    click.echo(f"{point} {version}")


@pytest.mark.parametrize("words", [("fraud/7",), ("fraud@7",), ("fraud", "7")])
def test_a_version_is_named_with_a_slash_an_at_or_two_words(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(promote, ["risk", *words])

    assert (done.exit_code, done.output) == (0, "risk ('fraud', 7)\n")


@pytest.mark.parametrize(
    "words", [("fraud",), ("fraud/0",), ("fraud/x",), ("Fraud/1",), ("fraud", "7", "8"), ()]
)
def test_what_names_no_version_is_a_wrong_call(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(promote, ["risk", *words]).exit_code == 2
    with pytest.raises(InvalidInput):
        version_of("fraud/1/2")
    with pytest.raises(click.BadParameter):
        VersionText().convert("fraud", None, None)


def test_bands_are_read_with_either_sign_and_all_faults_at_once() -> None:
    assert bands_of("pay:0.1, desk=1.01") == (Band("pay", 0.1), Band("desk", 1.01))
    with pytest.raises(InvalidInput) as refused:
        bands_of("pay:x,desk")
    assert len(refused.value.faults) == 2


def test_a_kept_view_tells_an_import_its_kinds_and_that_values_may_be_missing() -> None:
    kept: FeatureView[None] = FeatureView(
        "customer", version=1, entity="id", features={"late": int, "city": str}, missing={"late": 0}
    )
    folded = FeatureView(
        "make", version=1, entity=lambda claim: claim.make, initial=lambda: 0,
        fold=lambda state, fact: state + 1, read=lambda state: {"ratio": state / 2},
        fact=lambda claim, end: ("a", {}),
    )  # fmt: skip

    assert kinds_of(kept) == {"late": int | None, "city": str | None}
    assert kinds_of(folded) == {"ratio": float}

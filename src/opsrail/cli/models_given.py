"""What the commands that make model versions are told of a model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from opsrail.cli.options import operator

if TYPE_CHECKING:
    from opsrail.registry.importer import Offered

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Importable(click.Path):
    """A file, or the name of a model in an MLflow server: `mlflow:NAME/VERSION`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a Path, or the name as it is."""
        if isinstance(value, str) and value.startswith("mlflow:"):
            return value
        return super().convert(value, param, ctx)


@dataclass(frozen=True)
class Said:
    """What the options say of a model."""

    training_rows: Path | None
    training_digest: str | None
    metrics: Mapping[str, float]
    card: Mapping[str, Any]
    by: str

    def trained(self, known: str | None = None) -> str:
        """Return the digest of what it was trained on, given as a file or as itself, else the one that is known."""
        from opsrail.values.canonical import digest as digest_of

        if self.training_rows is not None and self.training_digest is None:
            return digest_of(self.training_rows.read_bytes())
        if self.training_rows is None and self.training_digest is not None:
            return self.training_digest
        if self.training_rows is None and known is not None:
            return known
        raise click.UsageError(
            "say what it was trained on: --training-rows FILE or --training-digest sha256:HEX"
        )


@dataclass(frozen=True)
class Meant:
    """How a file is to be read, as the options say.

    Attributes:
        point: A decision point that it is for, and the file that defines it.
    """

    sample: Path | None
    signature: Path | None
    point: tuple[str, str] | None
    said: Said

    def offered(self, name: str, content: bytes, ending: str, trained: str) -> Offered:
        """Return a file with all that is said of it."""
        from opsrail.registry.importer import Offered
        from opsrail.registry.importing import Told, told_of
        from opsrail.registry.samples import read_sample

        request, features = _asked_by(self.point)
        return Offered(
            name,
            content,
            ending,
            trained,
            self.said.by,
            told_of(self.signature.read_bytes()) if self.signature else Told(),
            read_sample(self.sample) if self.sample else None,
            request,
            features,
            self.said.metrics,
            self.said.card,
        )


def described(function: F) -> F:
    """Give a command the options that say what a model is, and hand it a `Said`."""

    @click.option("--training-rows", type=FILE, help="File it was trained on; its digest is kept.")
    @click.option("--training-digest", metavar="sha256:HEX", help="Or the digest itself.")
    @click.option(
        "--metric",
        "metrics",
        multiple=True,
        metavar="NAME=NUMBER",
        help="A figure measured in training; may be repeated.",
    )
    @click.option("--card", type=FILE, help="YAML or JSON: owner, intended_use, ..., pools.")
    @click.option("--code-revision", help="Of the code that trained it, for the card.")
    @click.option(
        "--isolation",
        type=click.Choice(("none", "process")),
        help="process: run it in child processes alone, so that its crash is theirs.",
    )
    @operator
    @functools.wraps(function)
    def call(
        *positions: Any,
        training_rows: Path | None,
        training_digest: str | None,
        metrics: tuple[str, ...],
        card: Path | None,
        code_revision: str | None,
        isolation: str | None,
        by: str,
        **given: Any,
    ) -> Any:
        figures = dict(_figure(metric) for metric in metrics)
        told = _card(card, isolation=isolation, code_revision=code_revision)
        said = Said(training_rows, training_digest, figures, told, by)
        return function(*positions, said=said, **given)

    return cast(F, call)


def _asked_by(point: tuple[str, str] | None) -> tuple[Any, Mapping[str, Any]]:
    """Return the request model of a decision point, and what its views give, in an author's file."""
    if point is None:
        return None, {}
    from opsrail.app.taking_models import asked_by
    from opsrail.cases.loader import load_file

    return asked_by(load_file(Path(point[1])), point[0])


def _figure(metric: str) -> tuple[str, float]:
    name, _, number = metric.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise click.UsageError(f"--metric {metric}: write NAME=NUMBER, e.g. auc=0.763") from None


def _card(path: Path | None, **options: str | None) -> dict[str, Any]:
    """Return the card of a file with what options add to it."""
    from opsrail.registry.cards import parse_card

    told = {} if path is None else parse_card(path.read_bytes(), path.name)
    return told | {name: value for name, value in options.items() if value is not None}

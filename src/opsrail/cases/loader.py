"""Reads an author's file: which automations, decision points, views, queues and forms it defines.

A mistake in the file becomes one clear error with the file and line, never a traceback.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from opsrail.cases.definition import Automation
from opsrail.decide.point import DecisionPoint
from opsrail.decide.python_model import PythonModel
from opsrail.errors import AuthorError, Fault, InvalidInput, OpsrailError
from opsrail.features.joining import join_faults
from opsrail.features.view import FeatureView
from opsrail.review.queue import Queue


@dataclass(frozen=True, slots=True)
class Definitions:
    """What author files define, by name.

    Attributes:
        files: Paths of the files, for messages that point into them.
        models: Functions that score, as they are in the files now.
        queues: Desks by name; others may be named in `case.review` without being declared.
    """

    automations: Mapping[str, Automation[Any, Any]]
    points: Mapping[str, DecisionPoint[Any]]
    views: tuple[FeatureView[Any], ...]
    files: tuple[str, ...]
    models: tuple[PythonModel, ...] = ()
    queues: Mapping[str, Queue] = field(default_factory=dict)


def load_file(path: Path) -> Definitions:
    """Import an author's file and collect what it defines.

    Raises:
        InvalidInput: no such file, or it defines no automation and no decision point. Terminal.
        AuthorError: it cannot be imported; says the line. Terminal.
    """
    if not path.is_file():
        raise InvalidInput(
            f"{path} is not a file; give the Python file of an automation (`opsrail new NAME` makes one)"
        )
    path = path.resolve()
    name = f"opsrail_author_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except OpsrailError as wrong:
        raise AuthorError(f"{_place(wrong, path)}: {wrong}") from wrong
    except SyntaxError as wrong:
        raise AuthorError(f"{wrong.filename}:{wrong.lineno}: {wrong.msg}") from wrong
    except Exception as wrong:
        raise AuthorError(f"{_place(wrong, path)}: {type(wrong).__name__}: {wrong}") from wrong
    return collect(module)


def collect(*modules: ModuleType) -> Definitions:
    """Return what modules define.

    Raises:
        InvalidInput: nothing, or two things of one name. All faults at once. Terminal.
    """
    automations: dict[str, Automation[Any, Any]] = {}
    points: dict[str, DecisionPoint[Any]] = {}
    views: dict[tuple[str, int], FeatureView[Any]] = {}
    models: dict[str, PythonModel] = {}
    queues: dict[str, Queue] = {}
    found: list[Fault] = []
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Automation):
                _add(automations, value.name, value, "automation", found)
            elif isinstance(value, DecisionPoint):
                _add(points, value.name, value, "decision point", found)
            elif isinstance(value, FeatureView):
                _add(views, (value.name, value.version), value, "feature view", found)
            elif isinstance(value, PythonModel):
                models[value.digest] = value
            elif isinstance(value, Queue):
                _add(queues, value.name, value, "queue", found)
    for automation in automations.values():
        for view in automation.history:
            views.setdefault((view.name, view.version), view)
    found += [
        Fault(automation.name, "has no function; decorate one with `.run`")
        for automation in automations.values()
        if not automation.has_function
    ]
    by_ref = {view.ref: view for view in views.values()}
    found += [fault for point in points.values() for fault in _joined_faults(point, by_ref)]
    for (
        point
    ) in points.values():  # fixed now, before the file can be edited under a running process
        _ = point.policy_version, point.request_version
    files = tuple(str(module.__file__) for module in modules)
    if not automations and not points:
        found.append(Fault(", ".join(files), "defines no Automation and no DecisionPoint"))
    if found:
        raise InvalidInput("the automation file cannot be used", found)
    scores = tuple(models.values())
    return Definitions(automations, points, tuple(views.values()), files, scores, queues)


def _joined_faults(
    point: DecisionPoint[Any], views: Mapping[str, FeatureView[Any]]
) -> Iterator[Fault]:
    """Yield what keeps a point's views from being joined to its requests."""
    for wanted in point.features:
        if wanted not in views:
            lacks = f"asks for feature view {wanted!r}, which the file does not define"
            yield Fault(point.name, lacks)
    known = [wanted for wanted in point.features if wanted in views]
    for fault in join_faults(point.request, known, views):
        yield Fault(point.name, fault.message)


def _add(known: dict[Any, Any], name: Any, value: object, kind: str, found: list[Fault]) -> None:
    if known.setdefault(name, value) is not value:
        found.append(Fault(str(name), f"two {kind}s have this name"))


def _place(wrong: BaseException, path: Path) -> str:
    lines = [
        line for line in traceback.extract_tb(wrong.__traceback__) if line.filename == str(path)
    ]
    return f"{path}:{lines[-1].lineno}" if lines else str(path)

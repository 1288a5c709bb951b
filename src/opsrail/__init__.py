"""opsrail runs AI decisions inside operational work, and keeps them on rails.

An automation's file imports everything it needs from here. Names load on first use, so that `import opsrail` stays
light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from opsrail.cases.context import Case as Case
    from opsrail.cases.definition import Automation as Automation
    from opsrail.cases.definition import Objective as Objective
    from opsrail.cases.steps import Action as Action
    from opsrail.cases.steps import Retry as Retry
    from opsrail.cases.steps import Step as Step
    from opsrail.cases.steps import step as step
    from opsrail.decide.point import DecisionPoint as DecisionPoint
    from opsrail.decide.policy import Band as Band
    from opsrail.decide.policy import Policy as Policy
    from opsrail.decide.policy import Rule as Rule
    from opsrail.decide.python_model import PythonModel as PythonModel
    from opsrail.documents.form import CompanyField as CompanyField
    from opsrail.documents.form import DateField as DateField
    from opsrail.documents.form import Form as Form
    from opsrail.documents.form import MoneyField as MoneyField
    from opsrail.errors import Retryable as Retryable
    from opsrail.errors import StepFailed as StepFailed
    from opsrail.errors import Terminal as Terminal
    from opsrail.features.source import FeastSource as FeastSource
    from opsrail.features.source import FileSource as FileSource
    from opsrail.features.source import Pushed as Pushed
    from opsrail.features.source import SqlSource as SqlSource
    from opsrail.features.view import FeatureView as FeatureView
    from opsrail.review.queue import Escalation as Escalation
    from opsrail.review.queue import Expiry as Expiry
    from opsrail.review.queue import Queue as Queue
    from opsrail.review.unasked import Audit as Audit
    from opsrail.values.columns import Category as Category
    from opsrail.values.columns import Number as Number
    from opsrail.values.columns import category as category
    from opsrail.values.decisions import Decision as Decision
    from opsrail.values.documents import Document as Document
    from opsrail.values.explanations import Fixed as Fixed
    from opsrail.values.reviews import Ruling as Ruling

HOMES = {
    "Action": "opsrail.cases.steps",
    "Audit": "opsrail.review.unasked",
    "Automation": "opsrail.cases.definition",
    "Band": "opsrail.decide.policy",
    "Category": "opsrail.values.columns",
    "Case": "opsrail.cases.context",
    "CompanyField": "opsrail.documents.form",
    "DateField": "opsrail.documents.form",
    "Decision": "opsrail.values.decisions",
    "DecisionPoint": "opsrail.decide.point",
    "Document": "opsrail.values.documents",
    "Escalation": "opsrail.review.queue",
    "Expiry": "opsrail.review.queue",
    "FeastSource": "opsrail.features.source",
    "FeatureView": "opsrail.features.view",
    "FileSource": "opsrail.features.source",
    "Fixed": "opsrail.values.explanations",
    "Form": "opsrail.documents.form",
    "MoneyField": "opsrail.documents.form",
    "Number": "opsrail.values.columns",
    "Objective": "opsrail.cases.definition",
    "Policy": "opsrail.decide.policy",
    "Pushed": "opsrail.features.source",
    "PythonModel": "opsrail.decide.python_model",
    "Queue": "opsrail.review.queue",
    "Retry": "opsrail.cases.steps",
    "Retryable": "opsrail.errors",
    "Rule": "opsrail.decide.policy",
    "Ruling": "opsrail.values.reviews",
    "SqlSource": "opsrail.features.source",
    "Step": "opsrail.cases.steps",
    "StepFailed": "opsrail.errors",
    "Terminal": "opsrail.errors",
    "category": "opsrail.values.columns",
    "step": "opsrail.cases.steps",
}
__all__ = sorted([*HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    home = HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'opsrail' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return list(__all__)

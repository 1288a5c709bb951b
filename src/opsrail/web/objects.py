"""Finds what an id in a path names, and checks that who asks may do there what they ask."""

from __future__ import annotations

from starlette.requests import Request

from opsrail.errors import NotFound
from opsrail.values.cases import CaseRow, OutboxRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import ReviewRow
from opsrail.web.answers import is_ulid
from opsrail.web.door import Door, grants_of, permit, scopes_of


async def decision_of(request: Request, door: Door, permission: str) -> DecisionRow:
    """Return the decision that the path names. It lies at its point, and in the automation whose case asked for it.

    Raises:
        NotFound: there is none.
        Denied: who asks may not do that there.
    """
    decision_id: str = request.path_params["decision_id"]
    row = await door.app.store.get(DecisionRow, decision_id) if is_ulid(decision_id) else None
    if row is None:
        raise NotFound(f"no decision {decision_id[:63]!r}")
    if not grants_of(request).may(permission, row.point):
        case = None if row.case_id is None else await door.app.store.get(CaseRow, row.case_id)
        permit(request, permission, row.point if case is None else case.automation)
    return row


async def permit_subject(request: Request, door: Door, permission: str, subject_id: str) -> None:
    """Check that who asks may see what the ledger says of a subject: where it lies, or everywhere if it lies nowhere.

    Raises:
        Denied: they may not.
    """
    if scopes_of(request, permission) is None:
        return
    scope, store = subject_id, door.app.store
    if is_ulid(subject_id):
        case = await store.get(CaseRow, subject_id)
        decision = None if case is not None else await store.get(DecisionRow, subject_id)
        if case is not None:
            scope = case.automation
        elif decision is not None:
            scope = decision.point
    elif is_ulid(subject_id[:26]):
        other = await store.get(ReviewRow, subject_id) or await store.get(OutboxRow, subject_id)
        if other is not None:
            scope = other.automation
    permit(request, permission, scope)

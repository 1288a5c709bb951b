"""Who may do what: roles as sets of permissions, and grants of roles by scope. Pure.

A *scope* is the name of an automation or of a decision point; `*` is everywhere. A permission that is
held in one scope opens the doors of that kind, and behind them only what lies in the scope.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

EVERYWHERE = "*"
SIGNED_IN = frozenset({"interface.read", "account.own"})
"""What everyone has who is known at all: to see what the interface is, and their own account."""
READS = frozenset(
    {
        "cases.read",
        "actions.read",
        "decisions.read",
        "models.read",
        "changes.read",
        "features.read",
        "ledger.read",
        "health.read",
    }
)
CALLER = frozenset(
    {"cases.submit", "decisions.make", "outcomes.write", "features.write", "cases.read"}
)
REVIEWER = frozenset({"reviews.read", "reviews.rule", "reviews.answer", "cases.read"})
"""Without `decisions.read`: who has seen the score does not judge before it."""
OPERATOR = READS | {
    "cases.change",
    "actions.change",
    "alarms.change",
    "rollouts.change",
    "reviews.read",
    "reviews.answer",
    "reviews.manage",
    "changes.plan",
    "changes.apply",
    "models.change",
    "lab.use",
}
APPROVER = READS | {"changes.approve"}
ADMIN = SIGNED_IN | CALLER | REVIEWER | OPERATOR | APPROVER | {"users.manage"}
ROLES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "viewer": READS,
        "reviewer": REVIEWER,
        "operator": OPERATOR,
        "approver": APPROVER,
        "admin": ADMIN,
        "caller": CALLER,
    }
)
"""What each role may do. An operator plans and applies changes and an approver agrees to them: nobody does both by role."""
PERMISSIONS = ADMIN


class Grants(NamedTuple):
    """What somebody may do where.

    Attributes:
        everywhere: Permissions that hold in every scope.
        within: Permissions by scope, beyond those.
    """

    everywhere: frozenset[str] = frozenset()
    within: Mapping[str, frozenset[str]] = MappingProxyType({})

    def may(self, permission: str, scope: str) -> bool:
        """Return whether a permission holds in a scope."""
        return permission in self.everywhere or permission in self.within.get(scope, ())

    def may_somewhere(self, permission: str) -> bool:
        """Return whether a permission holds in any scope."""
        if permission in self.everywhere:
            return True
        return any(permission in held for held in self.within.values())

    def scopes_of(self, permission: str) -> frozenset[str] | None:
        """Return the scopes in which a permission holds; None: in all."""
        if permission in self.everywhere:
            return None
        return frozenset(scope for scope, held in self.within.items() if permission in held)


NO_GRANTS = Grants()
ALL_GRANTS = Grants(ADMIN)


def grants_of(held: Iterable[tuple[str, str]]) -> Grants:
    """Return what pairs of scope and role add up to, for somebody who is known.

    A role that this opsrail does not know gives nothing: rows may be of a newer one.
    """
    by_scope: dict[str, frozenset[str]] = {}
    for scope, role in held:
        by_scope[scope] = by_scope.get(scope, frozenset()) | ROLES.get(role, frozenset())
    everywhere = by_scope.pop(EVERYWHERE, frozenset()) | SIGNED_IN
    return Grants(everywhere, MappingProxyType(by_scope))

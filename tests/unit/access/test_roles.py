"""Roles: what each may do, and how grants add up."""

from __future__ import annotations

import pytest

from opsrail.access.roles import ALL_GRANTS, NO_GRANTS, PERMISSIONS, ROLES, SIGNED_IN, grants_of


def test_a_role_holds_in_its_scope_and_nowhere_else() -> None:
    grants = grants_of([("claims", "reviewer"), ("loans", "operator")])

    assert grants.may("reviews.rule", "claims")
    assert not grants.may("reviews.rule", "loans")
    assert grants.scopes_of("cases.change") == frozenset({"loans"})
    assert grants.scopes_of("cases.read") == frozenset({"claims", "loans"})
    assert grants.may_somewhere("changes.plan")
    assert not grants.may_somewhere("changes.approve")


def test_a_role_everywhere_holds_in_scopes_that_nobody_has_heard_of() -> None:
    grants = grants_of([("*", "viewer"), ("claims", "reviewer")])

    assert grants.may("decisions.read", "made-tomorrow")
    assert grants.scopes_of("decisions.read") is None
    assert grants.scopes_of("reviews.rule") == frozenset({"claims"})


def test_several_roles_in_one_scope_add_up() -> None:
    grants = grants_of([("claims", "viewer"), ("claims", "approver"), ("claims", "reviewer")])

    assert grants.within["claims"] == ROLES["viewer"] | ROLES["approver"] | ROLES["reviewer"]


def test_who_is_known_but_holds_no_role_sees_only_what_the_interface_is() -> None:
    assert grants_of([]).everywhere == SIGNED_IN
    assert grants_of([("*", "emperor"), ("claims", "emperor")]).within == {"claims": frozenset()}


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_an_admin_may_all_and_a_stranger_nothing(permission: str) -> None:
    assert ALL_GRANTS.may(permission, "claims")
    assert ALL_GRANTS.scopes_of(permission) is None
    assert not NO_GRANTS.may_somewhere(permission)
    assert NO_GRANTS.scopes_of(permission) == frozenset()


def test_nobody_but_an_admin_both_plans_and_approves_or_manages_users() -> None:
    both = [name for name, held in ROLES.items() if {"changes.plan", "changes.approve"} <= held]
    managing = [name for name, held in ROLES.items() if "users.manage" in held]

    assert both == managing == ["admin"]


def test_a_reviewer_does_not_see_scores_before_ruling() -> None:
    assert "decisions.read" not in ROLES["reviewer"]
    assert "reviews.read" not in ROLES["viewer"]

"""The roles of a profile, and JupyterHub's scopes for them."""

import itertools

import pytest

from pantheon.hub import roles

ADMIN_ONLY = {"models.promote", "servers.stop"}


@pytest.mark.parametrize(("role", "action"), list(itertools.product([*roles.ROLES, "", "owner"], roles.ACTIONS)))
def test_a_role_allows_what_the_table_says(role: str, action: str) -> None:
    only_looks = action.endswith(".see")
    expected = {"view": only_looks, "edit": action not in ADMIN_ONLY, "admin": True}.get(role, False)
    assert roles.allowed(role, action) is expected


def test_an_unknown_action_is_an_error() -> None:
    with pytest.raises(KeyError):
        roles.allowed("admin", "models.delete_everything")


def test_scopes_say_the_role_in_each_profile_and_others_are_skipped() -> None:
    given = {"team": "edit", "default": "view", roles.EVERY: "view"}
    scopes = [each for profile, role in given.items() for each in roles.hub_scopes(role, profile)]
    assert roles.profiles_of([*scopes, "custom:other:admin", "read:users!group=team"]) == given


def test_the_highest_of_several_roles_counts_and_a_role_in_every_profile_holds_in_each() -> None:
    found = roles.profiles_of(["custom:pantheon:view!group=team", "custom:pantheon:edit!group=team"])
    assert found == {"team": "edit"}
    assert roles.role_in({"team": "view", roles.EVERY: "admin"}, "team") == "admin"
    assert roles.role_in({roles.EVERY: "view"}, "other") == "view"
    assert roles.role_in({"team": "view"}, "other") is None


def test_only_admins_reach_the_servers_of_others_and_only_to_stop_them() -> None:
    scopes = {role: roles.hub_scopes(role, "team") for role in roles.ROLES}
    assert scopes["view"] == ["custom:pantheon:view!group=team"]
    assert scopes["edit"] == ["custom:pantheon:edit!group=team", "servers!user"]
    assert "delete:servers!group=team" in scopes["admin"]
    assert not [each for each in scopes["admin"] if each.startswith(("access:servers", "admin:"))]

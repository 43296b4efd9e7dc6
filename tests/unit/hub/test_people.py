"""The people of a deployment: passwords, roles, and what is refused."""

import os
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.hub import people


def test_a_password_is_returned_once_and_only_its_hash_is_stored_for_its_owner_alone(tmp_path: Path) -> None:
    word = people.add(tmp_path, "ann", {"default": "edit"})
    for file in (people.people_file(tmp_path), people.passwords_file(tmp_path)):
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
        assert word not in file.read_text()
    stored = people.read_passwords(tmp_path)["ann"]
    assert stored not in people.people_file(tmp_path).read_text(), "services that read roles have no passwords"
    assert people.matches(word, stored)
    assert not people.matches(word[:-1], stored)
    new = people.change_password(tmp_path, "ann")
    changed = people.read_passwords(tmp_path)["ann"]
    assert people.matches(new, changed)
    assert not people.matches(word, changed)
    people.remove(tmp_path, "ann")
    assert people.read_passwords(tmp_path) == {}


def test_no_password_matches_where_none_is_stored(tmp_path: Path) -> None:
    assert people.add(tmp_path, "oidc@company", {"default": "view"}, password=False) == ""
    assert not people.matches("", "")
    assert not people.matches("anything", "")


def test_roles_come_from_a_person_and_from_groups_and_the_highest_counts(tmp_path: Path) -> None:
    people.add_profile(tmp_path, "team")
    people.add(tmp_path, "ann", {"team": "view"})
    people.grant(tmp_path, "team", "Data Science", "edit", group=True)
    found = people.read(tmp_path)
    assert found.roles("ann") == {"team": "view"}
    assert found.roles("ann", {"Data Science"}) == {"team": "edit"}
    assert found.roles("stranger", {"Data Science"}) == {"team": "edit"}
    assert found.roles("stranger") == {}
    assert found.roles(people.ADMIN) == {"*": "admin"}
    people.grant(tmp_path, "*", "ann", "admin")
    people.grant(tmp_path, "team", "ann", "")
    people.grant(tmp_path, "team", "Data Science", "", group=True)
    assert people.read(tmp_path).roles("ann", {"Data Science"}) == {"*": "admin"}


def test_a_removed_person_and_a_removed_profile_leave_no_role(tmp_path: Path) -> None:
    people.add_profile(tmp_path, "team")
    people.add(tmp_path, "ann", {"team": "admin", "default": "view"})
    people.remove_profile(tmp_path, "team")
    assert people.read(tmp_path).roles("ann") == {"default": "view"}
    people.remove(tmp_path, "ann")
    assert people.read(tmp_path).find("ann") is None
    assert people.read(tmp_path).roles("ann") == {}


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda state: people.add(state, "Ann Smith", {}), "'Ann Smith' is not a valid name"),
        (lambda state: people.add(state, "ann", {}), "there is already a user 'ann'"),
        (lambda state: people.add(state, people.ADMIN, {}), "there is already a user 'admin'"),
        (lambda state: people.add(state, "bob", {"nowhere": "view"}), "there is no profile 'nowhere'"),
        (lambda state: people.add(state, "bob", {"default": "owner"}), "there is no role 'owner'"),
        (lambda state: people.remove(state, "bob"), "there is no user 'bob'"),
        (lambda state: people.remove(state, people.ADMIN), "is always there"),
        (lambda state: people.change_password(state, people.ADMIN), "is always there"),
        (lambda state: people.add_profile(state, "-team"), "'-team' is not a valid name of a profile"),
        (lambda state: people.add_profile(state, "default"), "there is already a profile 'default'"),
        (lambda state: people.remove_profile(state, "default"), "cannot be removed"),
        (lambda state: people.grant(state, "*", "group", "edit", group=True), "there is no profile '*'"),
        (lambda state: people.grant(state, "default", "a\nb", "edit", group=True), "is not a valid name of a group"),
    ],
)
def test_what_is_wrong_is_refused_and_changes_nothing(tmp_path: Path, change, cause: str) -> None:  # type: ignore[no-untyped-def]
    people.add(tmp_path, "ann", {"default": "edit"})
    before = people.people_file(tmp_path).read_bytes()
    with pytest.raises(PantheonError, match=cause.replace("*", r"\*")):
        change(tmp_path)
    assert people.people_file(tmp_path).read_bytes() == before


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    people.add(tmp_path, "ann", {})
    people.people_file(tmp_path).write_text('{"people": 3}')
    with pytest.raises(PantheonError, match=r"people\.json is damaged"):
        people.read(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_what_root_writes_belongs_to_the_user_that_services_in_containers_run_as(tmp_path: Path) -> None:
    people.add(tmp_path, "ann", {})
    os.chown(people.people_file(tmp_path).parent, 10001, 10001)
    people.add(tmp_path, "bob", {})
    status = people.people_file(tmp_path).stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (10001, 10001, 0o600)

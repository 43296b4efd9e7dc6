"""Every action that JupyterHub and TensorBoard enforce, for every role, against the table of ``pantheon.hub.roles``."""

import pytest

from pantheon.hub.roles import ROLES, allowed
from tests.support.hub import PAGE, Hub, Person
from tests.support.waiting import until

TEAM = [*ROLES, ""]  # "": an admin of another profile


@pytest.mark.parametrize("role", TEAM)
def test_a_board_is_seen_by_those_with_a_role_in_its_profile(hub: Hub, people: dict[str, Person], role: str) -> None:
    answer = people[role].get(f"{hub.tensorboard}/team/data/runs", headers=PAGE)
    assert (answer.status_code == 200) is allowed(role, "tensorboard.see"), answer.text
    assert answer.status_code in (200, 403)


def test_servers_are_started_stopped_and_opened_by_those_who_may(hub: Hub, people: dict[str, Person]) -> None:
    member = hub.person("mia", team="edit")
    for role in ("view", "edit"):
        mine = people[role]
        if not allowed(role, "servers.start"):
            assert mine.api("POST", f"/users/{mine.name}/server").status_code == 403
            continue
        path = mine.start()
        mine.get(path + "lab")  # logs in at the server
        assert mine.get(path + "api/status").status_code == 200
        mine.api("DELETE", f"/users/{mine.name}/server")
    path = member.start()
    for role in TEAM:
        other = people[role]
        assert other.get(path + "api/status").status_code == 403, f"{role} opens the server of another person"
        assert "mia" not in other.get(path + "lab").url.partition("/user/")[2], f"{role} is let in"
        assert other.api("POST", "/users/mia/servers/second").status_code in (403, 404)
    for role in ("view", "edit", ""):
        answer = people[role].api("DELETE", "/users/mia/server")
        assert answer.status_code in (403, 404), (role, answer.text)
        assert not allowed(role, "servers.stop")
    assert member.server()["ready"]
    assert allowed("admin", "servers.stop")
    assert people["admin"].api("DELETE", "/users/mia/server").status_code in (202, 204)
    until(lambda: not member.server())
    listed = people["admin"].api("GET", "/users").json()
    assert {"mia", "vera"} <= {each["name"] for each in listed}
    assert "otto" not in {each["name"] for each in listed}, "people of other profiles are not listed"
    assert people["edit"].api("GET", "/users").status_code in (200, 403)
    assert {each["name"] for each in people[""].api("GET", "/users").json()} == {"otto"}


def test_a_user_has_several_servers_but_not_more_than_the_limit(people: dict[str, Person]) -> None:
    mine = people["edit"]
    assert mine.start("first").endswith("/first/")
    answers = [mine.api("PUT", f"/users/{mine.name}/servers/{name}").status_code for name in ("second", "third")]
    assert answers == [201, 400], "the default server and two more"
    for name in ("first", "second"):
        mine.api("DELETE", f"/users/{mine.name}/servers/{name}", json={"remove": True})
    until(lambda: not mine.server("first"))

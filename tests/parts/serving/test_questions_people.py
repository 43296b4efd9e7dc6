"""Who ran it, and who may: from the record of the run, the alias, and the people whom JupyterHub knows."""

from pathlib import Path
from typing import Any

import pytest

from pantheon.files import write_json
from pantheon.hub import people
from pantheon.hub.roles import ACTIONS, DEFAULT, ROLES, allowed
from pantheon.workflow.run import Params, Run
from tests.support.button import Client, Deployment, serving
from tests.support.button_in_s3 import LINEAGE, asked, at_tier, made

RUN = str(LINEAGE["run"])


def who(client: Client) -> dict[str, Any]:
    return asked(client)["who"]


@pytest.fixture
def kraken(deployment: Deployment, tmp_path: Path) -> Deployment:
    """With a model that ann's run made, and a person for each role in the profile default."""
    for name in ROLES:
        people.add(deployment.folder, f"{name}er", {DEFAULT: name})
    people.add_profile(deployment.folder, "team")
    people.add(deployment.folder, "outsider", {"team": "admin"})
    Run.ensure(deployment.folder, RUN, "", "robots", Params(), "kraken", "graph", "ann")
    deployment.publish(made(tmp_path / "one"))
    at_tier(deployment, "kraken", etl="kubeflow", rest="kubeflow", notebooks="hub")
    return deployment


def test_it_names_who_ran_it_and_for_every_action_exactly_those_who_may(kraken: Deployment) -> None:
    with serving(kraken) as (_, client):
        said = who(client)
    alias = kraken.store.resolve("robots")
    assert said["state"] == "answered"
    assert {name: said["facts"][name] for name in ("run", "by", "released", "released_by", "version")} == {
        "run": RUN, "by": "ann", "released": alias.since, "released_by": "test", "version": "1",
    }  # fmt: skip
    assert f"made by run {RUN}, which ann started at " in said["answer"]
    assert (
        "Who may start runs: admin, editer, adminer; promote models: admin, adminer; see them: admin, view"
        in (said["answer"])
    )
    for action in ACTIONS:
        able = {"admin", *(f"{role}er" for role in ROLES if allowed(role, action))}
        assert set(said["facts"]["may"][action]) == able, action
    assert said["source"].startswith(f"runs/{RUN}/run.json and models/robots/aliases/champion.json; people/")


def test_a_change_of_a_role_is_in_the_next_answer(kraken: Deployment) -> None:
    with serving(kraken) as (_, client):
        assert "viewer" not in who(client)["facts"]["may"]["models.promote"]
        people.grant(kraken.folder, DEFAULT, "viewer", "admin")
        people.remove(kraken.folder, "adminer")
        assert who(client)["facts"]["may"]["models.promote"] == ["admin", "viewer"]
        people.grant(kraken.folder, "*", "outsider", "view")
        assert "outsider" in who(client)["facts"]["may"]["models.see"]


def test_with_a_companys_login_groups_may_and_there_is_no_user_admin(
    kraken: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OIDC_ISSUER", "https://login.example.com")
    people.grant(kraken.folder, DEFAULT, "Data Science", "edit", group=True)
    with serving(kraken) as (_, client):
        may = who(client)["facts"]["may"]
    assert may["runs.start"] == ["editer", "adminer", "the group Data Science"]
    assert may["models.promote"] == ["adminer"]


def test_what_nobody_recorded_is_said(kraken: Deployment) -> None:
    record = kraken.folder / "runs" / RUN / "run.json"
    with serving(kraken) as (_, client):
        write_json(record, {"id": RUN, "created": "2026-11-22T10:00:00+00:00", "dataset": "robots"})
        assert "of which nobody recorded who started it" in who(client)["answer"]
        record.unlink()
        said = who(client)
        assert (said["state"], said["facts"]["by"]) == ("answered", None)
        assert "which is not there any more" in said["answer"]
        people.people_file(kraken.folder).write_text("{")
        assert who(client)["state"] == "unanswered"
        at_tier(kraken, "kraken", rest="kubeflow")
        assert "it runs without Kubeflow" in who(client)["answer"]

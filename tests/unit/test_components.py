"""Components are data: what their blocks may say, what follows from it, and that every shipped file is complete."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantheon import components, tiers
from pantheon.components import Secret, read
from pantheon.deployment import secrets
from pantheon.errors import PantheonError

COMPOSE = tiers.ROOT / "compose"
FILES = [path for path in sorted(COMPOSE.glob("*.yaml")) if path.name != "hardened.yaml"]
DEFINITIONS = tiers.definitions()


def write(folder: Path, name: str, block: Any, services: dict[str, Any] | None = None, **more: Any) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({components.KEY: block, "services": services or {name: {}}, **more}))
    return path


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A base; a database on demand; airflow, which needs it; lab, which needs airflow."""
    write(tmp_path, "base", {"component": "base", "required": True, "leads": {"etl": "hand", "rest": "hand"}})
    write(tmp_path, "database", {"component": "database", "on_demand": True})
    write(tmp_path, "airflow", {"component": "airflow", "needs": ["database"], "leads": {"etl": "airflow"}})
    write(tmp_path, "lab", {"component": "lab", "needs": ["airflow"], "leads": {"rest": "lab"}, "memory_mb": 7})
    path = tmp_path / "compose.yaml"
    path.write_text(yaml.safe_dump({"include": [f"{n}.yaml" for n in ("base", "database", "airflow", "lab")]}))
    return path


def test_included_components_come_in_order_and_once(chain: Path) -> None:
    again = chain.with_name("next.yaml")
    again.write_text(yaml.safe_dump({"include": ["base.yaml", {"path": ["compose.yaml"]}]}))
    assert [each.name for each in read(again)] == ["base", "database", "airflow", "lab"]
    assert read(again).owners["airflow"] == "airflow"


def test_the_last_component_that_leads_a_part_runs_it(chain: Path) -> None:
    every = read(chain)
    nobody = dict.fromkeys(("models", "data", "answers", "features", "notebooks", "after_etl"), "")
    assert every.route() == {"etl": "airflow", "rest": "lab", **nobody}
    assert every.required.route()["rest"] == "hand"


def test_what_leads_all_of_the_workflow_leads_all_of_it_or_nothing(chain: Path) -> None:
    """Airflow's own runs are continued by the last component with a DAG."""
    folder = chain.parent
    write(folder, "lab", {"component": "lab", "leads": {"rest": "lab"}, "dag": "notebooks"})
    write(folder, "pipelines", {"component": "pipelines", "leads": {"etl": "pipes", "rest": "pipes"}})
    write(folder, "other", {"component": "other", "leads": {"rest": "other"}, "dag": "others"})
    names = ["base", "database", "airflow", "lab", "pipelines", "other"]
    chain.write_text(yaml.safe_dump({"include": [f"{name}.yaml" for name in names]}))
    every = read(chain)
    keys = ("etl", "rest", "after_etl")
    assert [every.without(["other"]).route()[key] for key in keys] == ["pipes", "pipes", "lab"]
    assert [every.route()[key] for key in keys] == ["airflow", "other", ""]
    assert [every.without(["other", "lab"]).route()[key] for key in keys] == ["pipes", "pipes", ""]
    assert [every.without(["other", "pipelines"]).route()[key] for key in keys] == ["airflow", "lab", ""]


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ([], set()),
        (["lab"], {"lab"}),
        (["airflow"], {"airflow", "lab", "database"}),
        (["database"], {"airflow", "lab", "database"}),
    ],
)
def test_what_needs_a_component_and_what_only_it_needs_are_left_out_with_it(
    chain: Path, names: list[str], left: set[str]
) -> None:
    every = read(chain)
    assert every.left_out(names) == left
    assert {each.name for each in every.without(names)} == {"base", "database", "airflow", "lab"} - left
    assert every.without(names).memory_mb == (0 if "lab" in left else 7)
    assert every.optional == ["airflow", "lab"]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"component": "x", "colour": "red"}, "x-pantheon: object contains unknown field `colour`"),
        ({"component": "x", "leads": {"lunch": "x"}}, "x-pantheon.leads: invalid enum value 'lunch'"),
        ({"component": "x", "login": {"service": "x", "who": "y"}}, "missing required field `title`"),
        ({"component": "x", "secrets": {"key": {"rnadom": 40}}}, "x-pantheon.secrets.key: object contains unknown"),
        ({"component": "x", "secrets": {"key": {"random": "forty"}}}, "x-pantheon.secrets.key.random: expected `int`"),
        ({"component": "x", "secrets": {"key": {}}}, "secrets.key needs exactly one of random, fernet"),
        ({"component": "x", "secrets": {"key": {"random": 4, "aws": "u"}}}, "secrets.key needs exactly one of"),
        ({"component": "x", "images": {"x": {"environments": []}}}, "x-pantheon.images.x.environments is empty"),
        ({"leads": {}}, "missing required field `component`"),
        (["component"], "x-pantheon: expected `object`"),
    ],
)
def test_a_wrong_block_is_refused_with_its_file_and_key(tmp_path: Path, block: Any, message: str) -> None:
    path = write(tmp_path, "x", block)
    with pytest.raises(PantheonError) as refused:
        read(path)
    assert refused.value.cause.startswith(f"{path}: ") and message in refused.value.cause


def test_two_files_cannot_be_the_same_component(chain: Path) -> None:
    write(chain.parent, "database", {"component": "lab"})
    with pytest.raises(PantheonError, match=r"lab\.yaml: .*database\.yaml already defines the component 'lab'"):
        read(chain)


def test_a_secret_that_two_components_declare_is_generated_in_one_way(chain: Path) -> None:
    write(chain.parent, "base", {"component": "base", "secrets": {"key": {"random": 40}}})
    write(chain.parent, "lab", {"component": "lab", "secrets": {"key": {"random": 40}}})
    assert set(read(chain).secrets) == {"key"}
    write(chain.parent, "lab", {"component": "lab", "secrets": {"key": {"random": 20}}})
    with pytest.raises(PantheonError, match=r"lab\.yaml: another component declares the secret key differently"):
        _ = read(chain).secrets
    write(chain.parent, "lab", {"component": "lab", "secrets": {"url": {"template": "http://{{ nobody }}"}}})
    with pytest.raises(PantheonError, match="the secret url needs 'nobody', which no component declares"):
        _ = read(chain).secrets


# what ships ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_component_that_another_needs_is_in_each_definition(definition: Path) -> None:
    every = read(definition)
    names = {each.name for each in every}
    assert {needed for each in every for needed in each.needs} <= names
    assert every.secrets is not None
    assert all(every.route()[part] for part in ("etl", "rest", "models"))
    leader = every.leader("rest")
    assert leader


def test_growing_keeps_the_variant() -> None:
    """A tier has the variants of the tier before, with their components."""
    tier, after = tiers.find("odysseus"), tiers.find("epimetheus")
    assert set(tier.variants) <= set(after.variants)
    for variant in tier.variants:
        assert {each.name for each in read(tier.definition(variant))} <= {
            each.name for each in read(after.definition(variant))
        }


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_component_declares_every_secret_that_its_services_mount(file: Path) -> None:
    (component,) = (each for each in read(file) if each.file == file)
    text = file.read_text()
    mounted = set(yaml.safe_load(text).get("secrets") or {})
    assert mounted <= set(component.secrets)
    if component.login:
        assert not component.login.secret or component.login.secret in component.secrets
        assert component.login.service in component.services


def test_images_contain_environments_that_are_locked() -> None:
    for definition in DEFINITIONS:
        for image in read(definition).images.values():
            for name in image.environments:
                assert (tiers.ROOT / "requirements" / f"{name}.txt").exists()
            for folder in image.folders:
                assert (tiers.ROOT / folder).is_dir()


def strings(node: ast.AST) -> set[str]:
    """The strings that a literal lists: a mapping's keys, or the members of a list, tuple or set."""
    members = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
    return {each.value for each in members if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def test_no_python_file_lists_components() -> None:
    verbs = tiers.ROOT / "pantheon" / "deployment" / "commands.py"  # `dvc` and `feast` are programs, too
    folders = tiers.ROOT / "pantheon" / "dashboard" / "board.py"  # and `feast` and `kubeflow` folders
    base = {"workflow", "dataflow", "button"}
    names = {each.name for definition in DEFINITIONS for each in read(definition)} - base
    result = []
    for folder in ("pantheon", "serving"):
        for path in sorted({*(tiers.ROOT / folder).rglob("*.py")} - {verbs, folders}):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Dict | ast.List | ast.Tuple | ast.Set) and len(strings(node) & names) > 1:
                    result.append(f"{path.relative_to(tiers.ROOT)}:{node.lineno}")
    assert result == []


# secrets -------------------------------------------------------------------------------------------------------------


def test_secrets_are_generated_once_for_their_owner_only(tmp_path: Path) -> None:
    wanted = read(tiers.find("nemesis").compose_file).secrets
    folder = tmp_path / "secrets"
    secrets.make(folder, wanted)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(wanted)
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    before = {path: path.read_text() for path in folder.rglob("*") if path.is_file()}
    secrets.make(folder, wanted)
    assert {path: path.read_text() for path in folder.rglob("*") if path.is_file()} == before
    password = secrets.read(folder / "postgres_password")
    assert len(password) == 40 and password.isalnum()
    assert (folder / "pgpass").read_text() == f"*:*:*:*:{password}\n"
    assert json.loads((folder / "airflow_passwords.json").read_text()) == {
        "admin": secrets.read(folder / "airflow_password")
    }
    users = {each["name"]: each for each in json.loads((folder / "s3_identities.json").read_text())["identities"]}
    assert set(users) == {"s3_owner", "s3", "button", "endpoint"}
    access, key = secrets.s3_keys(folder, "button")
    assert users["button"]["credentials"] == [{"accessKey": access, "secretKey": key}]
    assert (folder / "button" / "credentials").read_text() == secrets.own_keys(folder, "button")
    tokens = re.findall(r'^key = "([A-Za-z0-9]{40})"$', (folder / "security.toml").read_text(), flags=re.M)
    assert len(set(tokens)) == 4


def test_a_file_of_other_secrets_is_made_again_for_a_new_one_only(tmp_path: Path) -> None:
    """A later component may add a user."""
    one, both = Secret(template='["{{ a }}"]'), Secret(template='["{{ a }}", "{{ b }}"]')
    mixed, key = Secret(template="{{ a }} {{ random 40 }}"), Secret(random=40)
    secrets.make(tmp_path, {"a": key, "users": one, "mixed": mixed})
    before = (tmp_path / "mixed").read_text()
    (tmp_path / "users").write_text("edited")
    secrets.make(tmp_path, {"a": key, "users": one, "mixed": mixed})
    assert (tmp_path / "users").read_text() == "edited"
    mixed = Secret(template="{{ b }} {{ random 40 }}")
    secrets.make(tmp_path, {"a": key, "b": key, "users": both, "mixed": mixed})
    a, b = (secrets.read(tmp_path / name) for name in "ab")
    assert json.loads((tmp_path / "users").read_text()) == [a, b]
    assert (tmp_path / "users").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "mixed").read_text() == before


def test_only_secrets_of_included_components_are_generated() -> None:
    assert set(read(tiers.find("persephone").compose_file).secrets) == {"button/password"}
    prometheus = read(tiers.find("prometheus").compose_file)
    assert "pgpass" in prometheus.secrets and "s3_identities.json" not in prometheus.secrets
    assert set(prometheus.without(["airflow"]).secrets) == {"button/password", "dataflow_token"}


def test_a_link_in_place_of_a_secret_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    secrets.make(tmp_path, {"key": Secret(random=40)})
    assert not (tmp_path / "elsewhere").exists()

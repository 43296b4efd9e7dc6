"""Feast's repository of a deployment: the folder ``feast`` in its state folder, and how Feast is opened on it."""

import os
from pathlib import Path
from typing import Any

from pantheon import files
from pantheon.errors import PantheonError

TEMPLATE = Path(__file__).resolve().parent / "template"
CONFIGURATION, DEFINITIONS = "feature_store.yaml", "definitions.py"
NEEDED = ("POSTGRES_HOST", "POSTGRES_PORT", "PGPASSFILE", "VALKEY_HOST", "VALKEY_PORT", "VALKEY_PASSWORD_FILE")


def import_quickly() -> None:
    """Make the import of Feast three times as fast; call this before it: Feast's own classes do not check the types of
    what they are given. They do where users' definitions are read: the message of such an error is of use."""
    import typeguard

    def unchanged(target: Any = None, **_: Any) -> Any:
        return (lambda each: each) if target is None else target

    typeguard.typechecked = unchanged


def make(folder: Path) -> None:
    """Write the files of a new repository; those that exist stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CONFIGURATION, DEFINITIONS):
        if not (folder / name).exists():
            files.write_once(folder / name, (TEMPLATE / name).read_bytes())


def set_variables() -> None:
    """Set the variables that ``feature_store.yaml`` uses. The password of Valkey is read from its file: Feast takes it
    from nowhere else than its configuration.

    Raises:
        PantheonError: one is missing.
    """
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        raise PantheonError(f"{missing[0]} is not set.", "`make tier-hephaestus up` sets it.")
    file = Path(os.environ["VALKEY_PASSWORD_FILE"])
    try:
        os.environ["VALKEY_PASSWORD"] = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise PantheonError(f"the password of Valkey cannot be read: {file}: {error.strerror}.", "Run `up`.") from None


def valkey() -> Any:
    """Return a client of Valkey; call ``set_variables`` first."""
    from pantheon.features.online import connect

    return connect(os.environ["VALKEY_HOST"], int(os.environ["VALKEY_PORT"]), os.environ["VALKEY_PASSWORD"])


def open_store(folder: Path) -> Any:
    """Return Feast's FeatureStore on the deployment's registry, with our configuration, in the repository ``folder``.

    Raises:
        PantheonError: a variable is missing. Feast's own errors: PostgreSQL does not answer.
    """
    from feast import FeatureStore, Project
    from feast.repo_config import load_repo_config

    set_variables()
    make(folder)
    os.chdir(folder)
    config = load_repo_config(folder, TEMPLATE / CONFIGURATION)
    store = FeatureStore(repo_path=str(folder), config=config)
    if not any(project.name == config.project for project in store.registry.list_projects()):
        store.apply([Project(name=config.project, description="The features of this deployment.")])
    return store

"""Read and write the deployment's settings, and the files through which host and services communicate.

Besides the data of the services, a deployment's folder (mode 0700) contains:

``settings.json``
    The settings that the host uses. Not mounted into services; ``settings.json.bak`` is its last good copy.
``state/``
    Files of the host for services, mounted read-only: ``deployment.json`` (a copy of the settings), ``store.json``
    (where models are stored) and ``services.json`` (the state of the services), which can be regenerated; and
    ``keys.json`` (hashes of API keys, see ``pantheon.keys``), which cannot.
``shared/``
    Files of services for the host: ``serving.json`` (which model is served) and the store's locks. Untrusted input.

``settings.json`` says which format the whole folder has (``version``) and which Pantheon wrote it last (``pantheon``).
Every command reads it first: a newer format is refused, an older one is migrated, and so are older files when they are
read. Files of other places, such as runs, have no version of their own. An error about a damaged file names it.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from pantheon import __version__, files, migration, typed
from pantheon.typed import VERSION, Damaged

SHARED = "shared"
_AGAIN = "To write it again, run `make tier-persephone up`, with the deployment's tier."
_PARTS = ("etl", "rest", "models", "data", "answers", "features", "notebooks", "after_etl")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Route(msgspec.Struct, frozen=True):
    """The components that do the work: who runs the first stages and the other ones, stores models, versions data,
    answers the requests that the button gets, stores features, gives people notebooks, and continues the runs that
    Airflow starts where another component runs the workflow."""

    etl: str = "dataflow"  # or airflow, kubeflow
    rest: str = "dataflow"  # or jupyter, pycaret, kubeflow
    models: str = "folder"  # or s3
    data: str = ""  # or dvc
    answers: str = ""  # the button itself; or endpoint
    features: str = ""  # of the run itself; or feast
    notebooks: str = ""  # JupyterLab itself, if there is one; or hub
    after_etl: str = ""  # the same as rest; or jupyter


def narrowed(old: Route, new: Route) -> Route:
    """Return ``old``, with the default for parts that are default in ``new``: the leaving component gets no work."""
    none = Route()
    parts = {name: getattr(old if getattr(new, name) != getattr(none, name) else none, name) for name in _PARTS}
    return Route(**parts)


class OtherS3(msgspec.Struct, frozen=True):
    """An external S3, instead of the one that comes with the tier."""

    endpoint: str  # empty for AWS
    bucket: str
    region: str


class Settings(msgspec.Struct):
    """The settings of a deployment.

    Attributes:
        tier: its tier; empty before the first ``up``.
        engine: ``local``, ``compose`` …: fixed, so that starting Docker does not change the engine.
        port_offset: added to every port, so that two deployments can run at once.
        dataset: the name of the dataset that is trained on and served.
        approval: ``auto`` or ``required``.
        trials, seed, folds, metric: parameters of runs; None: the workflow's default.
        without: components that are left out, such as ``airflow``.
        route: the components that do the work; services read it.
        schedule: when Airflow starts runs, as a cron expression; empty: never.
        variant: a variant of the tier, such as ``pycaret``; empty: none.
        s3: an external S3; None: the one that comes with the tier.
        log: what the endpoint does with what cannot be logged: ``best-effort``, ``off``; empty: it refuses the answer.
        predictions_keep: for how long predictions are kept, such as ``90d``; empty: for ever.
        monitor: when Airflow runs the monitor, as a cron expression or ``@hourly``; empty: never.
        materialize: when Airflow brings features online, as a cron expression or ``@hourly``; empty: never.
        monitor_report: another report that the monitor makes: ``evidently``; empty: none.
        retrain: the shortest time between two retrainings, such as ``24h``; empty: 24 hours; ``off``: none starts.
        alerts_leave: whether alerts go to other machines, by a webhook or e-mail.
        owner: who brought the deployment up first: the owner of features whose spec names nobody else.
        registry: the registry that images for a cluster are pushed to; empty: they are loaded into its nodes.
        registry_in_cluster: the name that nodes have for it; empty: the same.
        version: the format of the deployment's folder.
        pantheon: the release that wrote the settings last.
    """

    name: str = "pantheon"
    tier: str = ""
    engine: str = ""
    port_offset: int = 0
    dataset: str = "robots"
    approval: str = "auto"
    trials: int | None = None
    seed: int | None = None
    folds: int | None = None
    metric: str | None = None
    without: list[str] = msgspec.field(default_factory=list)
    route: Route = msgspec.field(default_factory=Route)
    schedule: str = ""
    variant: str = ""
    s3: OtherS3 | None = None
    log: str = ""
    predictions_keep: str = ""
    monitor: str = ""
    materialize: str = ""
    monitor_report: str = ""
    retrain: str = ""
    alerts_leave: bool = False
    owner: str = ""
    registry: str = ""
    registry_in_cluster: str = ""
    version: int = VERSION
    pantheon: str = ""


class StoreLocation(msgspec.Struct, frozen=True):
    """The S3 in which models are stored; without one, they are stored in the folder ``models``.

    Attributes:
        endpoint: its address for services; empty for AWS.
        host_endpoint: its address for commands on this machine.
        embedded: whether it is the S3 that comes with the tier.
    """

    bucket: str
    endpoint: str = ""
    host_endpoint: str = ""
    region: str = "us-east-1"
    embedded: bool = False
    kind: str = "s3"
    version: int = VERSION


class Serving(msgspec.Struct, frozen=True):
    """The model that the button serves; empty before the first deploy."""

    model: str = ""
    version: int = VERSION


class ServiceRecord(msgspec.Struct, frozen=True):
    """The last observed state of a service; see ``pantheon.engines.ServiceStatus``."""

    name: str
    state: str = ""
    why: str = ""
    address: str = ""
    memory: int = 0  # bytes
    since: str = ""  # ISO 8601
    restarts: int = 0
    pid: int = 0


class Services(msgspec.Struct, frozen=True):
    """``services.json``: the state of all services, for the web page."""

    updated: str = ""
    generation: int = -1
    services: list[ServiceRecord] = msgspec.field(default_factory=list)


class RunRecord(msgspec.Struct, frozen=True):
    """A run's ``run.json``: the request; never changed."""

    id: str
    created: str  # ISO 8601
    dataset: str
    tier: str = ""
    runner: str = ""
    params: dict[str, int | float | str] = msgspec.field(
        default_factory=dict
    )  # as ``pantheon.workflow.run.Params`` takes them
    started_by: str = ""  # who asked for it; empty: not known


class StageRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run's ``stages/NAME.json``: the result of a stage.

    Attributes:
        state: ``running``, ``done``, ``failed`` or ``interrupted``.
        started, finished: ISO 8601.
        by: the implementation, if it is not the workflow's.
        summary: a few figures to show.
        notes: sentences about the data that users should know before the training.
        error: why it failed.
    """

    stage: str
    state: str
    started: str = ""
    finished: str = ""
    seconds: float = 0.0
    by: str = ""
    summary: dict[str, Any] = msgspec.field(default_factory=dict)
    notes: list[str] = msgspec.field(default_factory=list)
    error: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """A run's ``outcome.json``."""

    decision: str  # promoted, challenger or refused
    model: str
    version: str | None  # of the model; None where it was refused
    reason: str
    warnings: list[str] = msgspec.field(default_factory=list)  # reasons to doubt the scores


def settings_file(state: Path) -> Path:
    return state / "settings.json"


def published_file(state: Path) -> Path:
    """Return the path of the settings' copy for services; before version 2, the settings themselves."""
    return state / "state" / "deployment.json"


def store_file(state: Path) -> Path:
    return state / "state" / "store.json"


def services_file(state: Path) -> Path:
    return state / "state" / "services.json"


def serving_file(state: Path) -> Path:
    return state / SHARED / "serving.json"


def exists(state: Path) -> bool:
    """Whether this folder contains a deployment."""
    return settings_file(state).exists() or _backup(state).exists() or published_file(state).exists()


def read_settings(state: Path) -> Settings | None:
    """Read the settings; None if the deployment has none yet.

    If ``settings.json`` is damaged, its last good copy is read. If both are missing, the settings of an older Pantheon
    are read from ``state/deployment.json``, until ``write_settings`` migrates them.

    Raises:
        PantheonError: both the file and its copy are damaged, or a newer Pantheon wrote them.
    """
    path, backup = settings_file(state), _backup(state)
    if not path.exists() and not backup.exists():
        old = published_file(state)
        return _settings(old, f"Move it away, then start the deployment again with its tier: `mv {old} {old}.old`")
    cure = f"Restore it from a backup; or move it and its copy away and run `up`: `mv {path} {backup} /tmp`"
    try:
        return _settings(path, cure) or _settings(backup, cure)
    except Damaged as error:
        with suppress(Damaged):
            if settings := _settings(backup):
                return settings
        raise error from None


def damage(state: Path) -> str:
    """Return why the settings are read from their last good copy, as a sentence; empty if they are not."""
    path = settings_file(state)
    try:
        return f"{path} is missing." if _settings(path) is None and _backup(state).exists() else ""
    except Damaged as error:
        return error.cause


def write_settings(state: Path, settings: Settings) -> None:
    """Write the settings durably, and their copy for services. Unchanged files are not written."""
    content = _encoded(settings)
    if not (settings_file(state).exists() or _backup(state).exists()) and published_file(state).exists():
        migration.begin(state)
    for path in (settings_file(state), _backup(state)):  # at any time, one of the two is complete
        if not _is(path, content):
            files.write_bytes(path, content, mode=0o600, fsync=True)
    if not _is(published_file(state), content):
        files.write_bytes(published_file(state), content, mode=0o644, fsync=True)


def is_current(state: Path, settings: Settings) -> bool:
    """Whether the files have the content that ``write_settings`` would write."""
    content = _encoded(settings)
    return all(_is(path, content) for path in (settings_file(state), _backup(state), published_file(state)))


def published(state: Path) -> Settings:
    """Read the settings in a service; the defaults before the first ``up``.

    Raises:
        PantheonError: the copy is damaged.
    """
    return _settings(published_file(state)) or Settings(route=Route())


def read_store(state: Path) -> StoreLocation | None:
    """Read where models are stored; None: in the folder ``models``.

    Raises:
        PantheonError: the file is damaged.
    """
    location = typed.read(store_file(state), StoreLocation, "`bin/pantheon up` rewrites it.")
    if location and (location.kind != "s3" or not location.bucket):
        raise Damaged(f"{store_file(state)} names an unknown kind of store.", "`bin/pantheon up` rewrites it.", 1)
    return location


def write_store(state: Path, where: StoreLocation | None) -> None:
    """Write where models are stored; None: in the folder ``models``."""
    if where is None:
        files.remove(store_file(state))
        files.sync(store_file(state).parent)
        return
    files.write_json(store_file(state), msgspec.to_builtins(where), mode=0o644, fsync=True)


def read_services(state: Path) -> Services:
    """Read the state of the services; empty if the file is missing or damaged: the engine rewrites it."""
    try:
        return typed.read(services_file(state), Services, _AGAIN) or Services()
    except Damaged:
        return Services()


def served(state: Path) -> str:
    """Return the name of the served model; empty before the first deploy.

    A service wrote it, so an invalid name is ignored. While services of an older Pantheon run, the newer one of their
    file in ``state/`` and this one counts.
    """
    newest: dict[Path, int] = {}
    for path in (serving_file(state), migration.serving_file(state)):
        with suppress(OSError):
            newest[path] = path.lstat().st_mtime_ns
    for path in sorted(newest, key=newest.__getitem__, reverse=True):
        with suppress(Damaged, OSError):
            serving = typed.read(path, Serving, _AGAIN)
            if serving and is_model_name(serving.model):
                return serving.model
    return ""


def set_served(state: Path, model: str) -> None:
    """Set the served model, also for running services of an older Pantheon."""
    migration.tell(state, model)
    files.write_json(serving_file(state), msgspec.to_builtins(Serving(model)), mode=0o644, fsync=True)


def is_model_name(name: str) -> bool:
    """Whether ``name`` is a valid name of a model: a path component of letters, digits, dots, dashes, underscores."""
    return bool(_NAME.fullmatch(name))


def _backup(state: Path) -> Path:
    return state / "settings.json.bak"


def _encoded(settings: Settings) -> bytes:
    settings.version, settings.pantheon = VERSION, __version__
    return msgspec.json.format(msgspec.json.encode(settings), indent=1) + b"\n"


def _is(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _settings(path: Path, cure: str = _AGAIN) -> Settings | None:
    raw = typed.raw(path, cure)
    if raw is None:
        return None
    version = raw.get("version", 1)
    if version == 1:
        raw = migration.settings(raw)
    return typed.convert(path, raw, Settings, cure)

"""Where a deployment's models are stored: which S3, with which keys, and how to move them to another place."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from pantheon import components, terminal
from pantheon.deployment import secrets
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.files import part_of, write_text
from pantheon.state import OtherS3, Route, StoreLocation, read_settings, read_store, write_store
from pantheon.store.place import ROOTS
from pantheon.tiers import ROOT, Tier, find
from pantheon.typed import Damaged

BUCKET, REGION = "pantheon", "us-east-1"
S3 = ROOT / "compose" / "s3.yaml"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
TIMEOUT_SECONDS = 10.0  # for another S3 to answer; short, because a user waits at the terminal
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def choose(deployment: Deployment, endpoint: str, bucket: str, environment: Mapping[str, str] = os.environ) -> None:
    """Apply ``S3_ENDPOINT_URL=`` and ``S3_BUCKET=``: another S3, with its keys in the standard AWS variables.

    Args:
        endpoint: its URL; ``aws`` for Amazon S3; ``none`` for the tier's own S3; empty does not change the setting.
        bucket: the bucket in that S3, created if it is missing; needs an endpoint.

    Raises:
        PantheonError: the URL or bucket name is not valid, or the keys are missing.
    """
    deployment.given_keys = ""
    before = deployment.settings.s3.bucket if deployment.settings.s3 else BUCKET
    if endpoint == "none":
        deployment.settings.s3 = None
        return
    if not endpoint:
        if bucket and bucket != before:
            raise PantheonError(
                f"S3_BUCKET={bucket} needs S3_ENDPOINT_URL=.", "Set the URL of its S3, or aws for Amazon S3."
            )
        return
    if endpoint != "aws":
        _check_address(endpoint)
    bucket = bucket or before
    if not _BUCKET.fullmatch(bucket):
        raise PantheonError(
            f"S3_BUCKET={bucket} is not a valid bucket name.",
            "Use 3 to 63 lower-case letters, digits, dots and hyphens.",
        )
    missing = [key for key in KEYS if not environment.get(key)]
    file = deployment.state / "secrets" / "s3" / "credentials"
    if missing and not (deployment.settings.s3 and file.exists()):
        raise PantheonError(
            f"S3_ENDPOINT_URL needs keys, and {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set.",
            f"Run export {' '.join(f'{key}=…' for key in KEYS)}, then try again. "
            "The keys are stored in secrets/, mode 0600.",
        )
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or REGION
    deployment.settings.s3 = OtherS3("" if endpoint == "aws" else endpoint.rstrip("/"), bucket, region)
    if not missing:
        access, secret = (environment[key] for key in KEYS)
        deployment.given_keys = secrets.aws_file(access, secret, environment.get("AWS_SESSION_TOKEN", ""))


def _check_address(endpoint: str) -> None:
    """Raise PantheonError unless it has a scheme, a host and optionally a port; never echo a possible secret."""
    if "@" in endpoint:
        raise PantheonError(
            "S3_ENDPOINT_URL contains a user name or password.",
            f"Use only the address; set the keys in {' and '.join(KEYS)}.",
        )
    try:
        parts = urlsplit(endpoint)
        host = re.fullmatch(r"[A-Za-z0-9._:-]+", parts.hostname or "")
        rest = parts.path not in ("", "/") or "?" in endpoint or "#" in endpoint
        good = endpoint.startswith(("http://", "https://")) and host and not rest
        good = good and parts.port != 0 and not parts.netloc.endswith(":")
    except ValueError:  # an unmatched bracket, a port above 65535
        good = False
    if not good:
        raise PantheonError(
            f"S3_ENDPOINT_URL={re.split('[?#]', endpoint)[0]} is not a valid server address.",
            "Use an address such as https://s3.example.org:9000, aws for Amazon S3, or none for the tier's own S3.",
        )


def check_reachable(engine: Engine, new: StoreLocation | None) -> None:
    """Check that services of ``engine`` can reach another S3, whether or not this command can.

    Raises:
        PantheonError: they cannot.
    """
    if new is None or new.embedded or not engine.isolated:
        return
    import psutil

    host = urlsplit(new.endpoint).hostname or ""
    if engine.lets_out:
        if host in ("127.0.0.1", "::1", "localhost"):
            raise PantheonError(
                f"services on the engine {engine.name} run on other machines: {new.endpoint} is not this one there.",
                "Name the S3 by an address that these machines can reach, or use the tier's own: S3_ENDPOINT_URL=none.",
            )
        return
    here = {each.address for addresses in psutil.net_if_addrs().values() for each in addresses}
    if host not in here - {"127.0.0.1", "::1"}:  # it may be the address of this machine in a network of containers
        raise PantheonError(
            f"services on the engine {engine.name} cannot reach the S3 at {new.endpoint or 'AWS'}: "
            "their networks have no way out.",
            "Use ENGINE=local, or the tier's own S3: S3_ENDPOINT_URL=none.",
        )


def check(deployment: Deployment, new: StoreLocation | None) -> None:
    """Check that another S3 answers and accepts the keys, before the deployment is stopped or changed.

    Creates its bucket if it is missing.

    Raises:
        PantheonError: it does not answer, or rejects the keys.
    """
    if new is None or new.embedded or (new == current(deployment) and not deployment.given_keys):
        return
    from pantheon.store.s3.client import connect
    from pantheon.store.s3.prepare import prepare

    with _keys_to_check(deployment) as keys:
        prepare(connect(new, keys, host=True), new.bucket, TIMEOUT_SECONDS)


@contextmanager
def _keys_to_check(deployment: Deployment) -> Iterator[Path]:
    """Yield a file with the keys of this call; without any, the keys of the current store."""
    file = deployment.state / "secrets" / "s3" / "credentials"
    if not deployment.given_keys:
        yield keys_of_next(deployment) if _arrived(deployment) else file
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = part_of(file.with_name("credentials-given"))
    write_text(part, deployment.given_keys, mode=0o600)
    try:
        yield part
    finally:
        part.unlink()


def recall(deployment: Deployment) -> None:
    """Set the settings in memory to where the models are, also after an interrupted move."""
    if arrived := _arrived(deployment):
        deployment.settings.s3 = arrived[0]


def settle(deployment: Deployment) -> None:
    """After a move that completed, failed or was killed, set keys and settings to where the models are now.

    While models are copied, ``credentials-next`` has the name and the keys of the destination. If
    the models have arrived there, keys and settings follow. Otherwise nothing changes.
    """
    now, folder = current(deployment), deployment.state / "secrets"
    if arrived := _arrived(deployment):
        s3, text = arrived
        secrets.use_s3_keys(folder, text)
        Deployment(deployment.name).update(s3=s3)  # save only this: the rest of this call may fail
    keys_of_next(deployment).unlink(missing_ok=True)
    if now:  # recreate our own keys; for another S3, a command may have been killed between writing the two files
        secrets.make(folder, components.read(S3).secrets)
        theirs = (folder / "s3" / "credentials").read_text(encoding="utf-8", errors="replace")
        secrets.use_s3_keys(folder, "" if now.embedded else theirs)


def _arrived(deployment: Deployment) -> tuple[OtherS3 | None, str] | None:
    """Return settings and keys of the place that the models were moved to, if the settings do not name it yet."""
    now, kept = current(deployment), keys_of_next(deployment)
    if not now or not kept.exists():
        return None
    place, _, text = kept.read_text(encoding="utf-8").partition("\n")
    if place != f"# {describe(now)}":
        return None
    return None if now.embedded else OtherS3(now.endpoint, now.bucket, now.region), text


def keys_of_next(deployment: Deployment) -> Path:
    """Return the file with the destination's keys, below a line that names it; see ``settle``."""
    return deployment.state / "secrets" / "s3" / "credentials-next"


def same(one: StoreLocation, other: StoreLocation) -> bool:
    """Return whether two places are the same store, even at different addresses."""
    if one.embedded or other.embedded:
        return one.embedded == other.embedded
    return (one.endpoint, one.bucket) == (other.endpoint, other.bucket)


def location(deployment: Deployment, engine: Engine, route: Route) -> StoreLocation | None:
    """Return where to store the models; None for the folder."""
    if route.models == "folder":
        return None
    chosen = deployment.settings.s3
    if chosen:
        return _other(chosen)
    return _own(engine)


def _own(engine: Engine) -> StoreLocation:
    return StoreLocation(BUCKET, engine.address("s3", inside=True), engine.address("s3"), REGION, embedded=True)


def _other(s3: OtherS3) -> StoreLocation:
    return StoreLocation(s3.bucket, s3.endpoint, s3.endpoint, s3.region)


def current(deployment: Deployment) -> StoreLocation | None:
    """Return where the models are stored now; None for the folder."""
    return read_store(deployment.state)


def rebuild(deployment: Deployment) -> None:
    """Write a damaged ``store.json`` again, from the saved settings: they name the place that services used last.

    After an interrupted move this is the old place, which still has all models.
    """
    saved = read_settings(deployment.state)
    try:
        current(deployment)
    except Damaged as error:
        if not saved or not saved.tier:
            raise
        where = None
        if saved.route.models != "folder":
            engine = deployment.engine(find(saved.tier), saved.engine)
            where = _other(saved.s3) if saved.s3 else _own(engine)
        write_store(deployment.state, where)
        terminal.warn(f"{error.cause} It was written again from the settings.")


def describe(where: StoreLocation | None) -> str:
    if where is None:
        return "the folder models/"
    return f"s3://{where.bucket}/models" + ("" if where.embedded else f" at {where.endpoint or 'AWS'}")


def move_before(deployment: Deployment, tier: Tier, new: StoreLocation | None) -> None:
    """Move the models to ``new``, which is not the tier's own S3, before the tier's S3 stops.

    If the deployment is down, start the old store for the duration of the move.
    """
    old = current(deployment)
    before = deployment.engine(tier, deployment.settings.engine)
    if not (old and old.embedded) or any(s.name == "s3" and s.state == "healthy" for s in before.status()):
        move(deployment, before, new)
        return
    if any(s.state not in ("stopped", "waiting") for s in before.status()):
        raise PantheonError("the S3 store with the models is not running.", "See why: `status`. Start it: `up`", 1)
    if not before.shares_folders:
        raise PantheonError("the S3 store with the models is stopped.", "Start it with `up` before the models move.", 1)
    alone = deployment.engine(tier, deployment.settings.engine, definition=S3, all_of_it=True)
    alone.prepare([each.environment for each in alone.planned()])
    alone.up()
    try:
        move(deployment, before, new)
    finally:
        alone.down()


def move(deployment: Deployment, engine: Engine, new: StoreLocation | None) -> None:
    """Move the models to ``new``: copy and verify every version, alias and date before services use it.

    A task copies them, because this process may not be able to read them. Keys of this call replace the former ones;
    ``check`` has verified them. If interrupted, the next ``up`` continues. The models in the old place do not change.
    The prediction log and the parts of features go along, and leave an old S3.

    Raises:
        PantheonError: a place does not answer, or a checksum differs; models and keys do not change.
    """
    old, folder = current(deployment), deployment.state / "secrets"
    given, deployment.given_keys = deployment.given_keys if new and not new.embedded else "", ""
    if new == old or (new and old and same(new, old)):
        if given:
            secrets.use_s3_keys(folder, given)
            terminal.say(terminal.plain(f"{describe(new)} accepts the new keys; they are used from now on"))
        if new and new != old:
            write_store(deployment.state, new)
            deployment.publish()
        return
    engine.prepare(["workflow"])
    step = f"models → {describe(new)}"
    with terminal.steps() as steps:
        steps.start(step)
        try:
            moved, files = _relocate(deployment, engine, new, given)
        except BaseException:
            steps.end(step, "failed", f"models stay in {describe(old)}")
            raise
        versions = sum(moved.values())
        if versions or old:
            steps.end(step, note=f"{versions} version{'' if versions == 1 else 's'}, checksums match")
        else:
            steps.drop(step)  # a new deployment: nothing was moved
    if old and sum(files.values()):
        log, parts = (f"{files.get(root, 0):,} file{'s' * (files.get(root) != 1)}" for root in ROOTS)
        said = f"the prediction log ({log}) and features ({parts}) left s3://{old.bucket} for their folders"
        where = f", from which the services bring them to s3://{new.bucket}" if new else ""
        terminal.say(terminal.plain(said + where))


def _relocate(
    deployment: Deployment, engine: Engine, new: StoreLocation | None, given: str
) -> tuple[dict[str, int], dict[str, int]]:
    """Move the models; services have the keys of the current place before and after. See ``settle`` for the files.

    Returns:
        The number of versions by model, and of other files that left the old place, by folder.
    """
    folder, kept = deployment.state / "secrets", keys_of_next(deployment)
    if not given:
        own = new and new.embedded
        given = secrets.own_keys(folder, "s3") if own else (folder / "s3" / "credentials").read_text("utf-8")
    write_text(kept, f"# {describe(new)}\n{given}", mode=0o600)
    moved, files = dict[str, int](), dict[str, int]()

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "arrived":  # publishing is blocked until the task sees both changes
            write_store(deployment.state, new)
            settle(deployment)
            deployment.publish()
        elif event["event"] == "moved":
            moved.update(event["models"])
        elif event["event"] == "files":
            files.update(event["moved"])

    try:
        # where services do not see this machine's folders, the keys of the new place go with the task
        keys, sent = (kept.name, None) if engine.shares_folders else ("-", given.encode())
        arguments = ["move-models", "--to", msgspec.json.encode(new).decode(), "--keys", keys]
        Task(engine, service="mover")(arguments, on_event, input=sent)
    finally:
        settle(deployment)
    return moved, files

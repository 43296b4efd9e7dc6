"""Where a deployment's models lie: which S3, with whose keys, and the move from one place to another."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pantheon.cli import credentials, envs, show
from pantheon.cli.deployment import Deployment
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT, Tier
from pantheon.workflow.run import read_json, write_json

BUCKET, REGION = "pantheon", "us-east-1"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
PATIENCE = 10.0  # seconds that another S3 has to answer in: somebody waits at the terminal
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def choose(deployment: Deployment, endpoint: str, bucket: str, environment: Mapping[str, str] = os.environ) -> None:
    """Take ``S3_ENDPOINT_URL=`` and ``S3_BUCKET=``: another S3 than ours, with the keys of the standard AWS variables.

    Args:
        endpoint: its address; ``aws`` for Amazon's own; ``none`` takes ours back; empty leaves the setting as it is.
        bucket: in that S3; needs an endpoint. It is made where it is missing.

    Raises:
        PantheonError: no address or bucket can be that, or the keys are missing.
    """
    settle(deployment)
    deployment.given_keys = ""
    if endpoint == "none":
        deployment.settings.s3 = {}
        return
    if not endpoint:
        if bucket and bucket != deployment.settings.s3.get("bucket", BUCKET):
            raise PantheonError(f"S3_BUCKET={bucket} needs S3_ENDPOINT_URL=.", "Say in which S3; aws for Amazon's own.")
        return
    if endpoint != "aws":
        _check_address(endpoint)
    bucket = bucket or deployment.settings.s3.get("bucket", BUCKET)
    if not _BUCKET.fullmatch(bucket):
        raise PantheonError(
            f"S3_BUCKET={bucket} cannot name a bucket.", "Small letters, digits, dots, hyphens; 3 to 63."
        )
    missing = [key for key in KEYS if not environment.get(key)]
    file = deployment.state / "secrets" / "s3" / "credentials"
    if missing and not (deployment.settings.s3 and file.exists()):
        raise PantheonError(
            f"S3_ENDPOINT_URL needs keys, and {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set.",
            f"export {' '.join(f'{key}=…' for key in KEYS)}, then again: they are kept in secrets/, mode 0600.",
        )
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or REGION
    deployment.settings.s3 = {
        "endpoint": "" if endpoint == "aws" else endpoint.rstrip("/"),
        "bucket": bucket,
        "region": region,
    }
    if not missing:
        access, secret = (environment[key] for key in KEYS)
        deployment.given_keys = credentials.aws_file(access, secret, environment.get("AWS_SESSION_TOKEN", ""))


def _check_address(endpoint: str) -> None:
    """Raises PantheonError unless it is scheme, host and at most a port; what may be a secret is not repeated."""
    if "@" in endpoint:
        raise PantheonError(
            "S3_ENDPOINT_URL holds a user's name or password.",
            f"Give the address alone; keys go in {' and '.join(KEYS)}.",
        )
    try:
        parts = urlsplit(endpoint)
        host = re.fullmatch(r"[A-Za-z0-9._:-]+", parts.hostname or "")
        rest = parts.path not in ("", "/") or "?" in endpoint or "#" in endpoint
        good = endpoint.startswith(("http://", "https://")) and host and not rest
        good = good and parts.port != 0 and not parts.netloc.endswith(":")
    except ValueError:  # a bracket without its other half, a port beyond 65535
        good = False
    if not good:
        raise PantheonError(
            f"S3_ENDPOINT_URL={re.split('[?#]', endpoint)[0]} is no address of a server.",
            "Such as https://s3.example.org:9000; aws for Amazon's own; none for the one that comes with the tier.",
        )


def check(deployment: Deployment, new: Mapping[str, Any] | None) -> None:
    """See that another S3 answers and takes the keys, before anything of the deployment is stopped or changed.

    Its bucket is made where it is missing.

    Raises:
        PantheonError: it does not answer, or refuses.
    """
    if new is None or new["embedded"] or (new == current(deployment) and not deployment.given_keys):
        return
    from pantheon.store.buckets import prepare
    from pantheon.store.client import connect

    with _keys_to_check(deployment) as keys:
        prepare(connect(new, keys, host=True), new["bucket"], PATIENCE)


@contextmanager
def _keys_to_check(deployment: Deployment) -> Iterator[Path]:
    """The keys given in this call, in a file beside the services' own; where none were given, that one."""
    file = deployment.state / "secrets" / "s3" / "credentials"
    if not deployment.given_keys:
        yield file
        return
    part = credentials.write_part(file.with_name("credentials-given"), deployment.given_keys)
    try:
        yield part
    finally:
        part.unlink()


def settle(deployment: Deployment) -> None:
    """After a move that ended, failed or was killed: have keys and settings be those of where the models lie now.

    While models are copied, ``credentials-next`` holds the keys of the place that they are copied to, and says which
    that is. Models that lie there have arrived: keys and settings follow. Else everything is still as before.
    """
    now, kept, folder = current(deployment), keys_of_next(deployment), deployment.state / "secrets"
    if kept.exists():
        place, _, text = kept.read_text(encoding="utf-8").partition("\n")
        if now and place == f"# {words(now)}":
            credentials.use_s3_keys(folder, text)
            s3 = {} if now["embedded"] else {name: str(now[name]) for name in ("endpoint", "bucket", "region")}
            Deployment(deployment.name).update(s3=s3)  # this alone: what else this call was given may not come to pass
            deployment.settings.s3 = s3
        kept.unlink()
    if now:  # ours are made anew; of another S3, a command may have been killed between the one file and the other
        credentials.make(folder)
        theirs = (folder / "s3" / "credentials").read_text(encoding="utf-8", errors="replace")
        credentials.use_s3_keys(folder, "" if now["embedded"] else theirs)


def keys_of_next(deployment: Deployment) -> Path:
    """The keys of the place that the models are copied to, below a line that says which; see ``settle``."""
    return deployment.state / "secrets" / "s3" / "credentials-next"


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two places are one store, at whatever address."""
    names = ("embedded",) if one["embedded"] else ("embedded", "endpoint", "bucket")
    return all(one[name] == other[name] for name in names)


def location(deployment: Deployment, engine: Engine, route: Mapping[str, str]) -> dict[str, Any] | None:
    """``state/store.json`` as it should be: None for the folder."""
    if route["models"] == "folder":
        return None
    chosen = deployment.settings.s3
    if chosen:
        return {"kind": "s3", **chosen, "host_endpoint": chosen["endpoint"], "embedded": False}
    address = deployment.address(engine, "s3")
    inside = address.replace("127.0.0.1", "s3") if engine.name == "compose" else address
    return {
        "kind": "s3",
        "bucket": BUCKET,
        "endpoint": inside,
        "host_endpoint": address,
        "region": REGION,
        "embedded": True,
    }


def current(deployment: Deployment) -> dict[str, Any] | None:
    """``state/store.json`` as it is."""
    file = deployment.state / "state" / "store.json"
    found: dict[str, Any] | None = read_json(file) if file.exists() else None
    return found


def words(where: Mapping[str, Any] | None) -> str:
    if where is None:
        return "the folder models/"
    return f"s3://{where['bucket']}/models" + ("" if where["embedded"] else f" at {where['endpoint'] or 'AWS'}")


def move_before(deployment: Deployment, tier: Tier, new: dict[str, Any] | None) -> None:
    """Have the models lie at ``new``, which is not the tier's own S3: that one stops next, if it runs.

    Where the deployment is down, the store that they are in is started for as long as that takes.
    """
    old = current(deployment)
    before = deployment.engine(tier, deployment.settings.engine)
    if not (old and old["embedded"]) or any(s.name == "s3" and s.state == "healthy" for s in before.status()):
        move(deployment, new)
        return
    if any(s.state not in ("stopped", "waiting") for s in before.status()):
        raise PantheonError(
            "the S3 store with the models is not up.", "Bring it up first: see `bin/pantheon status`.", 1
        )
    alone = deployment.engine(tier, deployment.settings.engine, definition=ROOT / "compose" / "s3.yaml", all_of_it=True)
    envs.prepare(alone, [each.environment for each in alone.planned()])
    alone.up()
    try:
        move(deployment, new)
    finally:
        alone.down()


def move(deployment: Deployment, new: dict[str, Any] | None) -> None:
    """Have the models lie at ``new``: every version, alias and date is copied, checked, and only then looked for there.

    Keys given in this call take the place of the former ones; ``check`` has seen that they work. Interrupted anywhere,
    the next ``up`` goes on. What was left stays as it was.

    Raises:
        PantheonError: either place does not answer, or a checksum differs; the models and keys stay as they were.
    """
    old, folder = current(deployment), deployment.state / "secrets"
    given, deployment.given_keys = deployment.given_keys if new and not new["embedded"] else "", ""
    if new == old or (new and old and same(new, old)):
        if given:
            credentials.use_s3_keys(folder, given)
            show.say(f"the keys of {words(new)} are those given now: it takes them")
        if new and new != old:
            write_json(deployment.state / "state" / "store.json", new)
        return
    step = f"models → {words(new)}"
    with show.steps() as steps:
        steps.start(step)
        try:
            moved = _relocate(deployment, new, given)
        except BaseException:
            steps.end(step, "failed", f"they stay in {words(old)}")
            raise
        versions = sum(moved.values())
        if versions or old:
            steps.end(step, note=f"{versions} version{'' if versions == 1 else 's'}, checksums agree")
        else:
            steps.drop(step)  # a new deployment: nothing was moved


def _relocate(deployment: Deployment, new: dict[str, Any] | None, given: str) -> dict[str, int]:
    """Move the models; services have the keys of where they lie, before and after. See ``settle`` for what is kept."""
    from pantheon.store.move import relocate

    folder, kept = deployment.state / "secrets", keys_of_next(deployment)
    if not given:
        own = new and new["embedded"]
        given = credentials.own_keys(folder, "s3") if own else (folder / "s3" / "credentials").read_text("utf-8")
    credentials.write_part(kept, f"# {words(new)}\n{given}").replace(kept)
    try:
        return relocate(deployment.state, new, new_credentials=kept, then=lambda: settle(deployment))
    finally:
        settle(deployment)

"""Where a deployment's models lie: which S3, with whose keys, and the move from one place to another."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pantheon.cli import credentials, envs, show
from pantheon.cli.deployment import Deployment
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT, Tier
from pantheon.workflow.run import read_json, write_json

BUCKET, REGION = "pantheon", "us-east-1"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def choose(deployment: Deployment, endpoint: str, bucket: str, environment: Mapping[str, str] = os.environ) -> None:
    """Take ``S3_ENDPOINT_URL=`` and ``S3_BUCKET=``: another S3 than ours, with the keys of the standard AWS variables.

    Args:
        endpoint: its address; ``aws`` for Amazon's own; ``none`` takes ours back; empty leaves the setting as it is.
        bucket: in that S3; needs an endpoint. It is made where it is missing.

    Raises:
        PantheonError: no address or bucket can be that, or the keys are missing.
    """
    if endpoint == "none":
        deployment.settings.s3 = {}
        return
    if not endpoint:
        if bucket and bucket != deployment.settings.s3.get("bucket", BUCKET):
            raise PantheonError(f"S3_BUCKET={bucket} needs S3_ENDPOINT_URL=.", "Say in which S3; aws for Amazon's own.")
        return
    if endpoint != "aws" and not re.fullmatch(r"https?://[^/\s]+/?", endpoint):
        raise PantheonError(
            f"S3_ENDPOINT_URL={endpoint} is no address of a server.",
            "Such as https://s3.example.org; aws for Amazon's own; none for the one that comes with the tier.",
        )
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


def write_keys(
    deployment: Deployment, new: Mapping[str, Any] | None, environment: Mapping[str, str] = os.environ
) -> None:
    """Have the credentials' files hold the keys of the S3 that the deployment uses.

    Where the models lie in another S3 than ``new``, its keys are kept until they were moved (``keys_of_old``).
    """
    folder, old = deployment.state / "secrets", current(deployment)
    kept = keys_of_old(deployment)
    if old and new and not same(old, new) and not kept.exists():
        credentials.make_secret(kept, lambda: (folder / "s3" / "credentials").read_text(encoding="utf-8"))
    if not deployment.settings.s3:
        credentials.use_s3_keys(folder)
    elif all(environment.get(key) for key in KEYS):
        access, secret = (environment[key] for key in KEYS)
        credentials.use_s3_keys(folder, access, secret, environment.get("AWS_SESSION_TOKEN", ""))


def keys_of_old(deployment: Deployment) -> Path:
    """The keys of the S3 that the models are moved away from."""
    return deployment.state / "secrets" / "s3" / "credentials-before"


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

    Interrupted anywhere, the next ``up`` goes on. What was left stays as it was.

    Raises:
        PantheonError: either place does not answer, or a checksum differs; the models stay where they were.
    """
    old = current(deployment)
    if new == old:
        return
    if new and old and same(new, old):
        write_json(deployment.state / "state" / "store.json", new)
        return
    from pantheon.store.move import relocate

    if new and not new["embedded"]:
        from pantheon.store.buckets import prepare
        from pantheon.store.client import connect

        prepare(connect(new, deployment.state / "secrets" / "s3" / "credentials", host=True), new["bucket"])
    step = f"models → {words(new)}"
    with show.steps() as steps:
        steps.start(step)
        try:
            kept = keys_of_old(deployment)
            moved = relocate(deployment.state, new, old_credentials=kept if kept.exists() else None)
            kept.unlink(missing_ok=True)
        except BaseException:
            steps.end(step, "failed", f"they stay in {words(old)}")
            raise
        versions = sum(moved.values())
        if versions or old:
            steps.end(step, note=f"{versions} version{'' if versions == 1 else 's'}, checksums agree")
        else:
            steps.drop(step)  # a new deployment: nothing was moved

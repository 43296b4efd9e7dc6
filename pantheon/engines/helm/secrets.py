"""The deployment's secrets, in the Secret of the chart and in the deployment's folder, where commands read them."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from pantheon import components, files, tiers
from pantheon.engines.helm.kube import Kube, Missing
from pantheon.engines.record import read_derived

NAME = "pantheon-secrets"
OURS = "pantheon/secret"  # a label, by which `destroy` finds it
MANAGED = "app.kubernetes.io/managed-by"


def exchange(kube: Kube, release: str, folder: Path, record: Path, other_s3: bool = False) -> None:
    """Give the cluster the secrets that it does not have, and take those that this machine does not have.

    Where both have a secret, the cluster's one holds: what it protects, such as a database, is there. Only a secret
    that was changed on this machine since the last time replaces the cluster's.

    Args:
        release: the name of the Helm release, which the Secret will belong to.
        folder: the deployment's ``secrets``.
        record: the file that remembers hashes of the secrets of the last time.
        other_s3: models are in another S3, whose keys ``give_s3_keys`` brings; the chart's own are of no use.

    Raises:
        PantheonError: the cluster does not answer, or refuses.
    """
    here, there = _here(folder), _there(kube)
    known = read_derived(record, {}) or {}
    send: dict[str, bytes] = {}
    for name, derived in _declared(with_s3=not other_s3).items():
        key, mine = name.replace("/", "."), here.get(name)
        theirs = (there or {}).get(key)
        if (
            mine is not None
            and not derived
            and (theirs is None or (mine != theirs and known.get(name) == _hash(theirs)))
        ):
            send[key] = mine
        elif theirs is not None and theirs != mine:
            path = folder / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.write_bytes(path, theirs, mode=0o600)
    data = {key: base64.b64encode(content).decode() for key, content in send.items()}
    if there is None and data:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": NAME,
                "labels": {MANAGED: "Helm"},
                "annotations": {
                    "meta.helm.sh/release-name": release,
                    "meta.helm.sh/release-namespace": kube.namespace,
                    "helm.sh/resource-policy": "keep",
                },
            },
            "type": "Opaque",
            "data": data,
        }
        kube.run(kube.kubectl("create", "-f", "-"), input=json.dumps(secret).encode(), loud=True)
    elif data:
        patch = kube.kubectl("patch", "secret", NAME, "--type=merge", "--patch-file=/dev/stdin")
        kube.run(patch, input=json.dumps({"data": data}).encode(), loud=True)
    after = _here(folder)
    files.write_json(record, {name: _hash(content) for name, content in after.items()}, mode=0o600)


def changed(folder: Path, record: Path) -> bool:
    """Return whether a secret of this machine has changed since ``exchange``."""
    known = read_derived(record, {}) or {}
    return any(known.get(name) != _hash(content) for name, content in _here(folder).items())


def give_s3_keys(kube: Kube, name: str, folder: Path) -> None:
    """Put the keys of another S3 into a Secret of their own, which the chart names."""
    content = (folder / "s3" / "credentials").read_bytes()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {OURS: "yes"}},
        "data": {"credentials": base64.b64encode(content).decode()},
    }
    apply = kube.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=pantheon", "-f", "-")
    kube.run(apply, input=json.dumps(secret).encode(), loud=True)


def _declared(with_s3: bool = True) -> dict[str, bool]:
    """Return the secrets that the components of all tiers declare, and whether they consist of other secrets.

    Args:
        with_s3: also those that have another S3's keys, if the deployment uses one.
    """
    found: dict[str, bool] = {}
    for definition in tiers.definitions():
        for name, secret in components.read(definition).secrets.items():
            if with_s3 or not secret.external:
                found[name] = secret.is_derived
    return found


def _here(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in _declared() if (folder / name).is_file()}


def _there(kube: Kube) -> dict[str, bytes] | None:
    """Return the entries of the Secret; None if it does not exist."""
    try:
        secret: dict[str, Any] = kube.json("get", "secret", NAME)
    except Missing:
        return None
    return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

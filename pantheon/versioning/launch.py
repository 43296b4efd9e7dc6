"""What a command in a deployment's repository needs around it, and ``dvc`` itself for people: see ``bin/dvc``.

The standard library alone, and nothing else of ours: it is also run as a file, by ``python -S``, so that it costs a
few milliseconds.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = Path(__file__).resolve().parent / "bin"  # `dvc`, and `pantheon-stage`, which the stages of dvc.yaml call


def state_of(folder: Path) -> Path | None:
    """The state folder that ``folder`` lies in; else ``STATE_DIR``, as services have it; else None."""
    for each in (folder, *folder.parents):
        if (each / "state" / "deployment.json").is_file():
            return each
    given = os.environ.get("STATE_DIR")
    return Path(given) if given else None


def read(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is no file."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def program(environment: Mapping[str, str]) -> Path:
    """DVC's own ``dvc``: in an environment of its own, since nothing of ours imports it."""
    return Path(environment.get("DVC_ENVIRONMENT") or ROOT / ".pantheon" / "envs" / "dvc") / "bin" / "dvc"


def surroundings(state: Path, folder: Path, base: Mapping[str, str]) -> dict[str, str]:
    """The environment variables for ``git`` and ``dvc`` in ``folder``, a repository of the deployment.

    The address of the S3 store is another one for services than on this machine, so it can be in no file of the
    repository, which both see; nor in AWS_ENDPOINT_URL, which would lead remotes of the user's own there, with their
    keys. It goes by DVC's settings for the whole machine, which are ours here: see ``whereabouts``.
    """
    # A git hook that calls us must not have us write into its own repository; DVC needs no module of ours.
    dropped = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
    found = {k: v for k, v in base.items() if k not in dropped and not k.startswith("GIT_")}
    found["PATH"] = os.pathsep.join([str(COMMANDS), base.get("PATH", os.defpath)])
    found["DVC_NO_ANALYTICS"] = "1"
    found["DVC_SITE_CACHE_DIR"] = str(state / "repositories" / ".site")
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):  # the store needs none; one that is not there stops DVC
        if variable in found and not has_profile(found[variable], base):
            del found[variable]
    found.setdefault("WORKFLOW_ENVIRONMENT", str(ROOT / ".pantheon" / "envs" / "workflow"))
    store = read(state / "state" / "store.json")
    endpoint = store.get("endpoint" if "STATE_DIR" in base else "host_endpoint")
    if endpoint:
        where = state / "repositories" / (".remote-services" if "STATE_DIR" in base else ".remote-host")
        whereabouts(where, f"s3://{store.get('bucket')}/dvc", endpoint)
        found["DVC_SYSTEM_CONFIG_DIR"] = str(where)
        if any(key.lower().endswith("_proxy") for key in found):
            host = endpoint.partition("//")[2].rpartition(":")[0]
            for key in ("NO_PROXY", "no_proxy"):
                found[key] = ",".join(filter(None, (found.get(key, ""), host)))
    return found | trust(state, folder)


def whereabouts(folder: Path, url: str, endpoint: str) -> None:
    """DVC's settings in ``folder``: where the remote ``store`` is. What ``.dvc/config`` says goes before them."""
    file, text = folder / "config", f"['remote \"store\"']\n    url = {url}\n    endpointurl = {endpoint}\n"
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".config.{os.urandom(6).hex()}.part"
    part.write_text(text, encoding="utf-8")
    if os.geteuid() == 0:  # as in JupyterLab's container: the others' user must be able to write it anew
        owner = folder.parent.stat()
        for path in (folder, part):
            os.chown(path, owner.st_uid, owner.st_gid)
    part.replace(file)


def has_profile(name: str, environment: Mapping[str, str]) -> bool:
    """Whether the AWS profile ``name`` is in one of the user's files."""
    home = Path(environment.get("HOME") or "/", ".aws")
    files = {"AWS_CONFIG_FILE": home / "config", "AWS_SHARED_CREDENTIALS_FILE": home / "credentials"}
    for variable, usual in files.items():
        try:
            text = Path(environment.get(variable) or usual).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if {f"[{name}]", f"[profile {name}]"} & {line.strip().replace('"', "") for line in text.splitlines()}:
            return True
    return False


def trust(state: Path, folder: Path) -> dict[str, str]:
    """What git has to be told where root looks after a ``folder`` that the containers' user owns; else nothing.

    It refuses that without a word from the caller; so does libgit2, DVC's other git, which takes it from a file alone.
    """
    if os.geteuid() != 0 or not folder.exists() or folder.stat().st_uid == 0:
        return {}
    settings = state / "repositories" / ".site" / "settings"
    if not (settings / "git" / "config").exists():
        (settings / "git").mkdir(parents=True, exist_ok=True)
        (settings / "git" / "config").write_text("[safe]\n\tdirectory = *\n", encoding="utf-8")
    words = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    return words | {"XDG_CONFIG_HOME": str(settings)}


def fail(text: str) -> int:
    print(f"pantheon: {text}", file=sys.stderr)
    return 2


def main(arguments: list[str]) -> int:
    """``dvc`` with these arguments in the working directory; does not return where it can be started."""
    folder = Path.cwd()
    if arguments[:1] == ["--in"]:  # for containers, whose working directory nobody chooses
        folder, arguments = Path(os.environ["STATE_DIR"]) / arguments[1], arguments[2:]
        os.chdir(folder)
    state = state_of(folder)
    if state is None:
        return fail("there is no deployment here. Go to its repository: cd .pantheon/pantheon/repositories/main")
    if not (state / "repositories" / "main" / ".dvc").is_dir():
        return fail("this deployment has no DVC: the tier odysseus brings it. Grow: make tier-odysseus up")
    if "STATE_DIR" not in os.environ and read(state / "state" / "deployment.json").get("engine") == "compose":
        environment = dict(os.environ) | {"PANTHEON_HOME": str(state.parent), "PANTHEON_NAME": state.name}
        words = [str(ROOT / "bin" / "pantheon"), "dvc", *arguments]  # the same in a container of the workflow
        os.execve(words[0], words, environment)  # noqa: S606
    dvc = program(os.environ)
    if not dvc.exists():
        return fail("the environment of DVC is missing. Make it: bin/bootstrap dvc")
    try:
        environment = surroundings(state, folder, os.environ)
    except OSError as error:
        return fail(f"{error.filename} cannot be written: {error.strerror}. It must be yours, as the deployment is.")
    os.execve(dvc, ["dvc", *arguments], environment)  # noqa: S606
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

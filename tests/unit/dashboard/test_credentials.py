"""Credentials of servers that a command keeps for orders."""

from netrc import netrc as read_netrc
from pathlib import Path

import pytest

from pantheon.dashboard.credentials import Credentials, Login, netrc
from pantheon.deployment.orders import keep
from pantheon.errors import PantheonError

FIELD = "model.credentials"


def test_kept_credentials_are_private_and_for_one_host(tmp_path: Path) -> None:
    path = keep(tmp_path, "github", "Git.Example.com:8443", "ann", "sesame=1")
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    credentials = Credentials(path.parent)
    found = credentials.login("github", FIELD, "https://git.example.com:8443/team/x.git")
    assert (found.file, found.user, found.password) == (path, "ann", "sesame=1")
    for url in ("https://git.example.com/x.git", "https://evil.example.com/git.example.com:8443", "http://x/"):
        with pytest.raises(PantheonError, match=r"model\.credentials: github has no host=") as error:
            credentials.login("github", FIELD, url)
        assert "sesame" not in str(error.value)


def test_keys_of_s3_are_kept_as_aws_programs_read_them(tmp_path: Path) -> None:
    path = keep(tmp_path, "store", "s3", "AKIA1", "sesame/+=")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = sesame/+=\n"
    credentials = Credentials(path.parent)
    assert credentials.keys("store", "data.remote") == path
    keep(tmp_path, "github", "git.example.com", "ann", "sesame")
    with pytest.raises(PantheonError, match=r"data\.remote: github has no keys of S3"):
        credentials.keys("github", "data.remote")
    with pytest.raises(PantheonError, match=r"data\.remote: store has no host=dvc\.example\.com"):
        credentials.login("store", "data.remote", "https://dvc.example.com/files")


@pytest.mark.parametrize("password", ["sesame", 'with "quotes" and \\', "two  words", "#not a comment", "ü:€"])
def test_a_program_reads_a_login_from_memory(password: str) -> None:
    with netrc(Login(Path(), "dvc.example.com:8443", "ann lee", password)) as (path, _):
        assert read_netrc(str(path)).authenticators("dvc.example.com") == ("ann lee", "", password)
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "host", "user", "password"),
    [
        ("../key", "git.example.com", "ann", "x"),
        ("github", "https://git.example.com", "ann", "x"),
        ("github", "git.example.com", "", "x"),
        ("github", "git.example.com", "ann", "x\nhost=evil.example.com"),
        ("github", "git.example.com", "ann", ""),
    ],
)
def test_what_is_not_valid_is_refused_and_writes_nothing(
    tmp_path: Path, name: str, host: str, user: str, password: str
) -> None:
    with pytest.raises(PantheonError):
        keep(tmp_path, name, host, user, password)
    assert not list(tmp_path.rglob("*"))

"""Secrets in a backup."""

import pytest

from pantheon.backup import seal
from pantheon.errors import PantheonError


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "COST", 1 << 10)


def test_the_passphrase_opens_what_it_sealed() -> None:
    sealed = seal.seal(b"token", "größer als nötig")
    assert seal.unseal(sealed, "größer als nötig") == b"token"
    assert b"token" not in sealed
    assert sealed != seal.seal(b"token", "größer als nötig")


@pytest.mark.parametrize("passphrase", ["", "wrong"])
def test_another_passphrase_is_refused(passphrase: str) -> None:
    with pytest.raises(PantheonError, match=r"the passphrase does not open the secrets .* SECRETS=none"):
        seal.unseal(seal.seal(b"token", "right"), passphrase)


def test_changed_bytes_are_refused() -> None:
    sealed = bytearray(seal.seal(b"token", "right"))
    for place in (0, len(seal.MAGIC), len(sealed) - 1):
        sealed[place] ^= 1
        with pytest.raises(PantheonError):
            seal.unseal(bytes(sealed), "right")
        sealed[place] ^= 1
    for size in (0, 20, 40):
        with pytest.raises(PantheonError):
            seal.unseal(bytes(sealed[:size]), "right")

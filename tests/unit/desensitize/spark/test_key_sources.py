"""Key sources: a key is read where it lies, is the driver's, and is never what is sent around."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from desensitize import InvalidPlan
from desensitize.spark import KeyFile, KeyFunction, KeyVariable
from desensitize.spark.keys import read_key
from desensitize.transform.keys import SecretKey

KEY = bytes(range(32))


def _store(path: Path, mode: int = 0o600) -> KeyFile:
    path.write_bytes(KEY)
    path.chmod(mode)
    return KeyFile(str(path))


def test_every_source_gives_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_KEY", KEY.hex())
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "vault_of_a_city.py").write_text("def fetch():\n    return bytes(range(32))\n")
    for source in (_store(tmp_path / "key"), KeyVariable("RELEASE_KEY"), KeyFunction("vault_of_a_city:fetch")):
        key = read_key(source, SecretKey(KEY).fingerprint())
        assert key is not None
        assert key.fingerprint() == SecretKey(KEY).fingerprint()
        assert KEY not in pickle.dumps(source)


def test_no_source_is_no_key() -> None:
    assert read_key(None) is None


@pytest.mark.parametrize("key", [KEY, KEY.hex(), SecretKey(KEY)])
def test_key_itself_is_refused(key: object) -> None:
    with pytest.raises(InvalidPlan, match="would be sent around"):
        read_key(key)


def test_another_key_than_the_drivers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidPlan, match="another one than the driver's"):
        read_key(_store(tmp_path / "key"), SecretKey(KEY[::-1]).fingerprint())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(InvalidPlan, match="open to others"):
        _store(tmp_path / "key", mode).read()


def test_sources_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidPlan, match="absolute"):
        KeyFile("release.key")
    with pytest.raises(InvalidPlan, match="`gone` is missing"):
        KeyFile(str(tmp_path / "gone")).read()
    with pytest.raises(InvalidPlan, match="`NO_SUCH_KEY` is not set"):
        KeyVariable("NO_SUCH_KEY").read()
    monkeypatch.setenv("RELEASE_KEY", "not hexadecimal")
    with pytest.raises(InvalidPlan, match="`RELEASE_KEY` is not hexadecimal"):
        KeyVariable("RELEASE_KEY").read()
    with pytest.raises(InvalidPlan, match=r"package\.module:function"):
        KeyFunction("vault.fetch")
    with pytest.raises(InvalidPlan, match="is not there"):
        KeyFunction("no_such_vault:fetch").read()
    with pytest.raises(InvalidPlan, match="must return bytes"):
        KeyFunction("os:getcwd").read()

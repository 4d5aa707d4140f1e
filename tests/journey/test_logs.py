"""The logs that the journey left, in the hands of somebody who does not trust the platform: the real command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from journey_kit import Walked, shuzha

LOGS = ("usage", "audit")


def copy_of(walked: Walked, name: str, folder: Path) -> Path:
    """Return a copy of a log, as a regulator takes it home: the platform goes on writing its own."""
    return Path(shutil.copytree(walked.settings.folder("logs") / name, folder / name))


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x01
    path.chmod(0o600)
    path.write_bytes(content)


@pytest.mark.parametrize("name", LOGS)
def test_verify_finds_an_untouched_log_sound(walked: Walked, tmp_path: Path, name: str) -> None:
    done = shuzha("ledger", "verify", copy_of(walked, name, tmp_path), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["sound"]
    assert report["size"] >= walked.made["log"][name]["entries"]


@pytest.mark.parametrize("name", LOGS)
def test_verify_names_the_entry_of_which_one_bit_was_changed(walked: Walked, tmp_path: Path, name: str) -> None:
    log = copy_of(walked, name, tmp_path)
    path = max((path for path in log.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    lines = path.read_bytes().splitlines(keepends=True)
    wanted = len(lines) // 2
    start = sum(map(len, lines[:wanted]))
    # A digit or letter in the middle of the entry: the file stays readable, only what it says has changed.
    place = next(
        at
        for at in range(start + len(lines[wanted]) // 2, start + len(lines[wanted]))
        if chr(path.read_bytes()[at]).isalnum()
    )
    flip(path, place)
    done = shuzha("ledger", "verify", log)
    assert done.returncode == 1, done.stdout + done.stderr
    print(path.name, done.stdout)
    assert f"entry {wanted}" in done.stdout + done.stderr


def test_verify_ends_with_two_where_there_is_no_log(tmp_path: Path) -> None:
    done = shuzha("ledger", "verify", tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr

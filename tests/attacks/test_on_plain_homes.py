"""A home in a plain folder, as where nobody is root, against what measures it and what takes it away."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.workspaces.host.disks import Disks
from sandbox.workspaces.host.homes import take_away
from sandbox.workspaces.host.limits import Limits
from shuzha.core.service_user import ServiceUser, acting_as

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="acting as another user needs root"),
]
OWNER = ServiceUser(61_007, 61_007)
NAME = "w-one"
MIB = 1024**2


@pytest.fixture
def homes() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        os.chown(name, OWNER.uid, OWNER.gid)
        yield Path(name) / "homes"
        take_away(Path(name) / "homes")


@pytest.fixture
def disks(homes: Path) -> Disks:
    with acting_as(OWNER):
        made = Disks(homes, cannot="there is no root")
        (homes / NAME).mkdir()
    return made


def dig(folder: Path, levels: int, name: str = "d") -> int:
    """Make folders within folders, as deep as asked for, and return the last one, open."""
    number = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=number)
        deeper = os.open(name, os.O_RDONLY, dir_fd=number)
        os.close(number)
        number = deeper
    return number


def fill(number: int) -> None:
    file = os.open("rows", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=number)
    os.write(file, bytes(2 * MIB))
    os.close(file)
    os.close(number)


def removes_plainly(home: Path) -> bool:
    try:
        shutil.rmtree(home)
    except (RecursionError, OSError):
        return False
    return True


@pytest.mark.attack(
    what="a home that cannot be taken away: folders in folders beyond any depth, folders closed to their owner",
    route="code in a kernel, before the exit", layer="jailer", control="a plain removal fails on the same home",
)  # fmt: skip
@pytest.mark.parametrize("kind", ["deep", "closed"])
def test_no_home_is_too_deep_or_too_closed_to_be_destroyed(disks: Disks, homes: Path, kind: str) -> None:
    home = homes / NAME
    with acting_as(OWNER):
        fill(dig(home, 1050 if kind == "deep" else 2))
        if kind == "closed":
            (home / "d").chmod(0)
        assert not removes_plainly(home), "the control"
        assert disks.destroy(NAME) == "folder removed"
    assert not home.exists()


@pytest.mark.attack(
    what="bytes in folders that are closed, or deeper than a path is long, to hide them from who measures the home",
    route="code in a kernel", layer="jailer", control="what a plain reader finds is within the limit",
)  # fmt: skip
@pytest.mark.parametrize("kind", ["deep", "closed"])
def test_no_byte_of_a_home_is_hidden_from_its_measure(disks: Disks, homes: Path, kind: str) -> None:
    home, limits = homes / NAME, Limits(home_bytes=MIB)
    with acting_as(OWNER):
        fill(dig(home, 20, "d" * 250) if kind == "deep" else dig(home, 1))
        if kind == "closed":
            (home / "d").chmod(0)
        plain = sum(Path(at, one).stat().st_size for at, _, files in os.walk(home) for one in files)
        assert plain < MIB, "the control"
        used = disks.use(NAME, limits)
    assert used is not None
    assert used.is_full

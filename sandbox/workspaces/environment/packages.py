"""The analysts' environment: which packages are approved, what is installed, and the change to a newly built one.

Words: the *base* is what every workspace has; the *approved list* is what the authority has let in beyond it, each with
its licence and purpose; whatever those need is a *dependency*. All are pinned and hashed. An environment is a folder
named after the lists that it was made of; the installation's setting points at a link to the one in use, so that a
change is one step and running workspaces keep the folder that they were started with.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from shuzha.core.errors import Invalid, Unavailable

BASE, APPROVED = "sandbox", "sandbox-approved"
"""The names of the two lists: NAME.in is written by people, NAME.txt is what `script/lock` makes of it."""

_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)\s*(?:;([^\\]*))?")
_ASKED = re.compile(r"^([A-Za-z0-9][\w.-]*)[^#]*(?:#\s*([^;]*)(?:;\s*(.*))?)?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_LICENCE = "License :: OSI Approved :: "
_EXCHANGE = 2
_HERE = -100


@dataclass(frozen=True, slots=True)
class Package:
    """One pinned package: its set (`base`, `approved` or `dependency`), what it is for, and the hashes of its files.

    `installed` is the version in the environment in use, empty where it is not there. A base package's licence is what
    it declares itself.
    """

    name: str
    version: str
    set: str
    licence: str = ""
    purpose: str = ""
    hashes: tuple[str, ...] = field(default=())
    installed: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Installed:
    """What lies in an environment: a package's version, and the licence that it declares."""

    version: str
    licence: str


@dataclass(frozen=True, slots=True)
class Lists:
    """The folder of both lists."""

    folder: Path

    def files(self) -> tuple[Path, ...]:
        """Return the pinned lists that an environment is made of, the base first; refuses one that is not hashed."""
        found = tuple(path for name in (BASE, APPROVED) if (path := self.folder / f"{name}.txt").exists())
        if not found:
            raise Invalid("there is no list of packages here", rule="environment.list", accepted=f"a {BASE}.txt")
        for path in found:
            check_hashed(path)
        return found

    def approved(self) -> Mapping[str, tuple[str, str]]:
        """Return licence and purpose of each approved package; refuses a line that lacks one of them."""
        path = self.folder / f"{APPROVED}.in"
        return parse_approved(path.read_text("utf-8")) if path.exists() else {}

    def base(self) -> frozenset[str]:
        """Return the normal names of what every workspace has, dependencies left out."""
        path = self.folder / f"{BASE}.in"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        asked = (_ASKED.match(line.strip()) for line in lines if not line.startswith(("#", "-")))
        return frozenset(normal(one[1]) for one in asked if one is not None)

    def packages(self, installed: Mapping[str, Installed]) -> tuple[Package, ...]:
        """Return every pinned package by set and name; `installed` says what is there by normal name."""
        approved, base = self.approved(), self.base()
        pinned = [one for path in self.files() for one in parse_pinned(path.read_text("utf-8"))]
        found: dict[str, Package] = {}
        for name, version, hashes in pinned:
            there = installed.get(name, Installed("", ""))
            if name in found and version != there.version:
                continue  # pinned for another Python as well
            kind = "approved" if name in approved else "base" if name in base else "dependency"
            licence, purpose = approved.get(name, (there.licence, ""))
            found[name] = Package(name, version, kind, licence, purpose, hashes, there.version)
        order = {"base": 0, "approved": 1, "dependency": 2}
        return tuple(sorted(found.values(), key=lambda one: (order[one.set], one.name)))

    def digest(self, also: Iterable[Path] = ()) -> str:
        """Return the name of what the lists, and the files of `also`, make: 16 hex digits of a SHA-256."""
        made = hashlib.sha256()
        for path in (*self.files(), *sorted(also)):
            made.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return made.hexdigest()[:16]


def parse_approved(text: str) -> dict[str, tuple[str, str]]:
    """Return licence and purpose by normal name from lines `NAME  # LICENCE; purpose`."""
    found: dict[str, tuple[str, str]] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith(("#", "-")):
            continue
        asked = _ASKED.match(line.strip())
        if asked is None or not (asked[2] or "").strip() or not (asked[3] or "").strip():
            raise Invalid(
                f"an approved package says no licence or purpose: {line.split('#', maxsplit=1)[0].strip()}",
                rule="environment.approved", accepted="NAME  # LICENCE; what it is for",
            )  # fmt: skip
        found[normal(asked[1])] = (asked[2].strip(), asked[3].strip())
    return found


def parse_pinned(text: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return name, version and SHA-256 hashes of each requirement of a pinned list; markers are not judged here.

    A package that is pinned once for each of several Pythons comes once for each.
    """
    found = []
    for block in _blocks(text):
        pinned = _PINNED.match(block)
        if pinned is not None:
            found.append((normal(pinned[1]), pinned[2], tuple(_HASH.findall(block))))
    return found


def check_hashed(path: Path) -> None:
    """Refuse a list with a requirement that is not pinned, or whose files have no hash."""
    for block in _blocks(path.read_text("utf-8")):
        if not _PINNED.match(block) or not _HASH.search(block):
            raise Invalid(
                f"{path.name} has a requirement that is not pinned and hashed: {block.split()[0]}",
                rule="environment.hashes", accepted="NAME==VERSION with --hash=sha256:… of each file (`script/lock`)",
            )  # fmt: skip


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def list_installed(environment: Path) -> dict[str, Installed]:
    """Return what is installed in an environment, by normal name; empty where there is none."""
    places = [str(place) for place in environment.glob("lib/python3*/site-packages")]
    found = {}
    for one in metadata.distributions(path=places):
        said: Any = one.metadata
        classified = [text.removeprefix(_LICENCE) for text in said.get_all("Classifier") or [] if _LICENCE in text]
        licence = said.get("License-Expression") or ", ".join(classified) or said.get("License") or ""
        found[normal(said["Name"])] = Installed(one.version, licence.strip().split("\n")[0][:60])
    return found


def switch(link: Path, target: Path) -> Path | None:
    """Have `link` lead to `target` from one moment to the next; return the folder that it was before, if it was one.

    A folder at `link` is kept beside it as `link-before`; a link is replaced. Processes that have the old one mounted
    go on with it. Raises Unavailable where the file system cannot exchange two names.
    """
    beside = link.with_name(f".{link.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target.name if target.parent == link.parent else target)
    if link.is_symlink() or not link.exists():
        beside.replace(link)
        return None
    _exchange(beside, link)
    kept = _free_name(link.with_name(f"{link.name}-before"))
    beside.rename(kept)
    return kept


def _exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) != 0:
        reason = os.strerror(ctypes.get_errno())
        one.unlink(missing_ok=True)
        raise Unavailable(f"cannot put a link in the place of {other.name}: {reason}", rule="environment.switch")


def _free_name(path: Path) -> Path:
    names: Sequence[Path] = [path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 1000))]
    return next(name for name in names if not name.exists())


def _blocks(text: str) -> list[str]:
    """Return the requirements of a list, each with the lines that continue it; comments and options are left out."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith(("#", "-"))]

"""The hash of an analysts' environment: the same hash, the same code, wherever the environment lies."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

_SKIPPED = frozenset({"__pycache__", "dist-packages", "site-packages", "test", "tests", "idle_test"})
_CODE = frozenset({".py", ".so"})
_LOOSE = frozenset({".py", ".pth", ".so"})
_TURN = threading.Lock()


def environment_hash(environment: Path) -> str:
    """Return a hash of all that a notebook's code runs on, in hex digits.

    It covers every package by the hashes that its installer recorded of its files, approved ones as well as the base;
    whatever else lies beside the packages and is run or imported by name; the interpreter; the standard library. Byte
    code and the place of the environment change nothing.
    """
    digest = hashlib.sha256()
    for kind, name, content in _parts(environment):
        digest.update(f"{kind}\0{name}\0{content}\n".encode())
    return digest.hexdigest()


def _parts(environment: Path) -> Iterator[tuple[str, str, str]]:
    for packages in sorted(environment.glob("lib/python3*/site-packages")):
        for path in sorted(packages.iterdir()):
            if (record := path / "RECORD").is_file():
                yield "package", path.name, _sha256(record)
            elif path.is_file() and path.suffix in _LOOSE:
                yield "loose", path.name, _sha256(path)
    interpreter = (environment / "bin" / "python").resolve()
    if interpreter.is_file():
        yield "interpreter", "python", _known(interpreter, _stamp(interpreter))
    for library in _libraries(environment):
        yield "library", library.name, _known(library, _stamp(library))


def _libraries(environment: Path) -> Iterator[Path]:
    """Yield the standard library that the environment's interpreter brings: `pyvenv.cfg` names its folder."""
    settings = environment / "pyvenv.cfg"
    lines = settings.read_text("utf-8").splitlines() if settings.is_file() else []
    homes = [line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == "home"]
    for home in homes:
        for own in sorted(environment.glob("lib/python3*")):
            library = Path(home).parent / "lib" / own.name
            if library.is_dir():
                yield library


def _stamp(path: Path) -> str:
    """Return what changes whenever a file of `path` was written since: asking that is quicker than reading them."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(_code_below(path)):
        status = file.stat()
        digest.update(f"{file}\0{status.st_ino}\0{status.st_ctime_ns}\0{status.st_size}\n".encode())
    return digest.hexdigest()


def _known(path: Path, stamp: str) -> str:
    with _TURN:
        return _hash_of(path, stamp)


@lru_cache(maxsize=8)
def _hash_of(path: Path, _stamp: str) -> str:
    """Return the hash of a file, or of the code in a folder; worked out again only when its stamp is another."""
    if path.is_file():
        return _sha256(path)
    digest = hashlib.sha256()
    for file in sorted(_code_below(path)):
        digest.update(f"{file.relative_to(path)}\0{_sha256(file)}\n".encode())
    return digest.hexdigest()


def _code_below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            if path.name not in _SKIPPED:
                yield from _code_below(path)
        elif path.suffix in _CODE and path.is_file():
            yield path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

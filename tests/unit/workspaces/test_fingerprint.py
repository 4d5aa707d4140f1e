"""The hash of an environment names its code: all of it, and nothing but it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.workspaces.environment.fingerprint import environment_hash


def make(folder: Path) -> Path:
    """Make an environment with an approved package, a loose module, an interpreter and its library."""
    packages = folder / "env" / "lib" / "python3.11" / "site-packages"
    for name in ("polars-1.0.dist-info", "approved-2.0.dist-info"):
        (packages / name).mkdir(parents=True)
        (packages / name / "RECORD").write_text(f"{name}/x.py,sha256=abc,3\n")
    (packages / "loose.pth").write_text("import loose")
    library = folder / "usr" / "lib" / "python3.11"
    (library / "json").mkdir(parents=True)
    (library / "json" / "decoder.py").write_text("x = 1")
    (folder / "usr" / "bin").mkdir()
    (folder / "usr" / "bin" / "python3.11").write_bytes(b"\x7fELF one")
    (folder / "env" / "bin").mkdir()
    (folder / "env" / "bin" / "python").symlink_to(folder / "usr" / "bin" / "python3.11")
    (folder / "env" / "pyvenv.cfg").write_text(f"home = {folder / 'usr' / 'bin'}\nversion = 3.11.2\n")
    return folder / "env"


def test_hash_is_the_same_wherever_the_environment_lies(tmp_path: Path) -> None:
    assert environment_hash(make(tmp_path / "one")) == environment_hash(make(tmp_path / "two"))


Change = Callable[[Path], object]
CHANGES: dict[str, Change] = {
    "another file in a package": lambda env: record(env).write_text("approved/x.py,sha256=other,3\n"),
    "an approved package more": lambda env: shutil.copytree(
        record(env).parent, record(env).parents[1] / "new.dist-info"
    ),
    "an approved package less": lambda env: shutil.rmtree(record(env).parent),
    "a module beside the packages": lambda env: (record(env).parents[1] / "sitecustomize.py").write_text("x"),
    "another start-up line": lambda env: (record(env).parents[1] / "loose.pth").write_text("import other"),
    "another interpreter": lambda env: (env.parent / "usr/bin/python3.11").write_bytes(b"\x7fELF another"),
    "another standard library": lambda env: replace(env.parent / "usr/lib/python3.11"),
}


def record(environment: Path) -> Path:
    return environment / "lib/python3.11/site-packages/approved-2.0.dist-info/RECORD"


def replace(library: Path) -> None:
    shutil.rmtree(library)
    (library / "json").mkdir(parents=True)
    (library / "json" / "decoder.py").write_text("x = 2")


@pytest.mark.parametrize("change", CHANGES)
def test_hash_changes_with_all_that_code_runs_on(tmp_path: Path, change: str) -> None:
    environment = make(tmp_path)
    before = environment_hash(environment)
    CHANGES[change](environment)
    assert environment_hash(environment) != before


def test_byte_code_changes_nothing(tmp_path: Path) -> None:
    environment = make(tmp_path)
    before = environment_hash(environment)
    for folder in (environment / "lib/python3.11/site-packages", environment.parent / "usr/lib/python3.11/json"):
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    assert environment_hash(environment) == before

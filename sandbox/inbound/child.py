"""Reads somebody's file in a process of its own, with little memory, little time and nothing of the platform's.

A file can be made to cost far more than its size says. What the parser is talked into ends here: the process is killed
and the file refused.

    python -m sandbox.inbound.child FILE NAME SCRATCH OUT     (rules and caps as JSON on standard input)
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from sandbox.inbound.model import Rules
from sandbox.inbound.reading import Reading, read_file
from shuzha.core.errors import Invalid

_ROOT: Final = Path(__file__).parents[2]
_REFUSED: Final = 3
_SAID: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that reading one file may take: bytes of addresses and of what is written, seconds of work and all."""

    addresses: int = 3 * 1024**3
    written: int = 1024**3
    cpu_seconds: int = 60
    wall_seconds: int = 120


@dataclass(frozen=True, slots=True)
class Asked:
    """What the child is told: by which rules to read, and what it may take."""

    rules: Rules
    caps: Caps


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a file was not read, as one process tells another."""

    message: str
    rule: str
    accepted: str


def read_apart(path: Path, file_name: str, rules: Rules, caps: Caps | None = None) -> tuple[bytes, Reading]:
    """Return the table of the file at `path` as Parquet of our own making, and what was found in it.

    Refuses what `read_file` refuses, and a file that needs more memory or time than it is given.
    """
    caps = caps or Caps()
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".reading-") as folder:
        out = Path(folder) / "table.parquet"
        command = [sys.executable, "-m", "sandbox.inbound.child", str(path), file_name, folder, str(out)]
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "POLARS_MAX_THREADS": "1", "HOME": folder}
        try:
            done = subprocess.run(
                command, input=msgspec.json.encode(Asked(rules, caps)), capture_output=True, env=environment,
                cwd=_ROOT, timeout=caps.wall_seconds, check=False, start_new_session=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise _costly(file_name) from None
        said = done.stdout[:_SAID]
        if done.returncode == _REFUSED:
            told = msgspec.json.decode(said, type=Refused)
            raise Invalid(told.message, rule=told.rule, accepted=told.accepted)
        if done.returncode != 0 or not out.is_file():
            raise _costly(file_name)
        return out.read_bytes(), msgspec.json.decode(said, type=Reading)


def main(arguments: list[str]) -> int:
    """Read one file, leave the table at its place, say what was found or why it was refused; return the exit code."""
    path, file_name, scratch, out = arguments
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    _cap(asked.caps)
    try:
        frame, reading = read_file(Path(path), file_name, Path(scratch), asked.rules)
    except Invalid as error:
        # The readers below know a batch or an entry; whoever brings a file knows neither.
        rule = error.rule if error.rule and error.rule.startswith("own.") else "own.file"
        told = Refused(error.message.replace("an element's", "a column's"), rule, error.accepted or "")
        sys.stdout.buffer.write(msgspec.json.encode(told))
        return _REFUSED
    frame.write_parquet(out, compression="zstd", statistics=False)
    sys.stdout.buffer.write(msgspec.json.encode(reading))
    return 0


def _cap(caps: Caps) -> None:
    """Cap this process before it looks at the file: addresses, processor time, the size of what it writes, no core."""
    for kind, most in (
        (resource.RLIMIT_AS, caps.addresses), (resource.RLIMIT_CPU, caps.cpu_seconds),
        (resource.RLIMIT_FSIZE, caps.written), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 256),
    ):  # fmt: skip
        resource.setrlimit(kind, (most, most))


def _costly(file_name: str) -> Invalid:
    return Invalid(
        f"{file_name} cannot be read with the memory and time that a file may take", rule="own.cost",
        accepted="a file of ordinary rows and cells",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

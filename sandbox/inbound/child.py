"""Reads somebody's file in a process of its own, with little memory, little time and nothing of the platform's.

A file can be made to cost far more than its size says. What the parser is talked into ends here: the process is killed
and the file refused.

    python -m sandbox.inbound.child FILE NAME SCRATCH OUT     (the rules as JSON on standard input)
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
_ADDRESSES: Final = 4 * 1024**3
_WRITTEN: Final = 1024**3
_CPU_SECONDS: Final = 60
_WALL_SECONDS: Final = 120
_SAID: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a file was not read, as one process tells another."""

    message: str
    rule: str
    accepted: str


def read_apart(path: Path, file_name: str, rules: Rules) -> tuple[bytes, Reading]:
    """Return the table of the file at `path` as Parquet of our own making, and what was found in it.

    Refuses what `read_file` refuses, and a file that needs more memory or time than it is given.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".reading-") as folder:
        out = Path(folder) / "table.parquet"
        command = [sys.executable, "-m", "sandbox.inbound.child", str(path), file_name, folder, str(out)]
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "POLARS_MAX_THREADS": "1", "HOME": folder}
        try:
            done = subprocess.run(
                command, input=msgspec.json.encode(rules), capture_output=True, env=environment, cwd=_ROOT,
                timeout=_WALL_SECONDS, check=False, start_new_session=True, preexec_fn=_cap,
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
    rules = msgspec.json.decode(sys.stdin.buffer.read(), type=Rules)
    try:
        frame, reading = read_file(Path(path), file_name, Path(scratch), rules)
    except Invalid as error:
        # The readers below know a batch or an entry; whoever brings a file knows neither.
        rule = error.rule if error.rule and error.rule.startswith("own.") else "own.file"
        told = Refused(error.message.replace("an element's", "a column's"), rule, error.accepted or "")
        sys.stdout.buffer.write(msgspec.json.encode(told))
        return _REFUSED
    frame.write_parquet(out, compression="zstd", statistics=False)
    sys.stdout.buffer.write(msgspec.json.encode(reading))
    return 0


def _cap() -> None:
    """Cap the process that is about to start: address space, processor time, the size of what it writes, no core."""
    for kind, most in (
        (resource.RLIMIT_AS, _ADDRESSES), (resource.RLIMIT_CPU, _CPU_SECONDS), (resource.RLIMIT_FSIZE, _WRITTEN),
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 256),
    ):  # fmt: skip
        resource.setrlimit(kind, (most, most))


def _costly(file_name: str) -> Invalid:
    return Invalid(
        f"{file_name} cannot be read with the memory and time that a file may take", rule="own.cost",
        accepted="a file of ordinary rows and cells",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

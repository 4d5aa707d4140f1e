"""Where a jailed server's own words go: a file with an end, which the jail itself never holds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MOST_BYTES = 4 * 1024**2


def open_log(path: Path) -> int:
    """Return the writing end of a pipe whose first mebibytes are kept at `path`; the rest is read and dropped.

    A jail never holds the file itself, and what it writes cannot fill the disk. The reader ends with the last writer,
    and outlives the jailer as the jail does.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    reading, writing = os.pipe()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    number = os.open(path, flags, 0o600)
    try:
        subprocess.Popen(
            ["sh", "-c", f"head -c {MOST_BYTES}; exec cat >/dev/null"],
            stdin=reading, stdout=number, stderr=subprocess.DEVNULL, env={}, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(reading)
        os.close(number)
    return writing

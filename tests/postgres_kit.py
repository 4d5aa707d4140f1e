"""A PostgreSQL of its own for a test, on a socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def as_postgres(*command: str | Path) -> None:
    """Run a command of the server's, which refuses to be root."""
    user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    subprocess.run([*map(str, command)], check=True, capture_output=True, timeout=60, cwd="/tmp", **user)


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server and yield its URL for SQLAlchemy."""
    binaries = BINARIES[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="szpg-", dir="/tmp"))
    if os.geteuid() == 0:
        found = pwd.getpwnam("postgres")
        os.chown(folder, found.pw_uid, found.pw_gid)
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    try:
        as_postgres(binaries / "initdb", "-D", folder / "data", "-U", "shuzha", "--auth=trust", "-E", "UTF8")
        as_postgres(binaries / "pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start")
        yield f"postgresql+psycopg://shuzha@/postgres?host={folder}"
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            as_postgres(binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)

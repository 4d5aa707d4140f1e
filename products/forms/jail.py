"""The jail in which the forms' workers run: no network, programs and code to read, the named files, memory for scratch.

Where bubblewrap cannot make such a jail nothing is run: a model is not answered and a leaked file is not read.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_ROOT: Final = Path(__file__).parents[2]
_SCRATCH: Final = "/tmp"  # noqa: S108 - the jail's own, made new for each


def command(module: str, files: Mapping[str, Path], seccomp: int) -> list[str]:
    """Return bubblewrap's command for a module of ours, with these files of the host to read under these names."""
    rooms = ("products", "sandbox", "shuzha", "policies")
    shown = {Path(sys.prefix).resolve(), Path(sys.prefix), *(_ROOT / name for name in rooms)}
    if not Path(sys.base_prefix).is_relative_to("/usr"):
        shown.add(Path(sys.base_prefix).resolve())
    options = [
        "bwrap", "--unshare-user", "--unshare-all", "--disable-userns", "--new-session", "--die-with-parent",
        "--cap-drop", "ALL", "--hostname", "worker", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin",
        "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev",
        "--size", str(64 * 1024**2), "--tmpfs", _SCRATCH,
    ]  # fmt: skip
    for path in sorted(shown):
        if path.exists():
            options += ["--ro-bind", str(path), str(path)]
    for inside, path in files.items():
        options += ["--ro-bind", str(path), inside]
    options += ["--remount-ro", "/", "--seccomp", str(seccomp), "--chdir", "/", "--"]
    return [*options, sys.executable, "-P", "-s", "-m", module]


def variables() -> dict[str, str]:
    """Return the environment inside: where the code lies, one thread, and nothing of the platform's."""
    kept = {"LD_LIBRARY_PATH": os.environ["LD_LIBRARY_PATH"]} if "LD_LIBRARY_PATH" in os.environ else {}
    return kept | {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(_ROOT), "POLARS_MAX_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "HOME": _SCRATCH,
        "PYTHONHASHSEED": "0",
    }  # fmt: skip


@contextmanager
def call_filter() -> Iterator[IO[bytes]]:
    """Give the filter of system calls that every jail has, in an open file."""
    from sandbox.workspaces.jails.seccomp import compile_filter  # Needs libseccomp, which the worker has not.

    with tempfile.TemporaryFile() as file:
        file.write(compile_filter())
        file.flush()
        file.seek(0)
        yield file

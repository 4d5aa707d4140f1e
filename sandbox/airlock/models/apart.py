"""Has the worker read and measure a model in a jail of its own: no network, the prepared rows alone, capped.

The file and the order go in by standard input, the answer comes out by standard output; nothing else of the host is
there but programs and the platform's code. Where bubblewrap cannot make such a jail no model is measured, and so none
passes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

from sandbox.airlock.models.evidence import Answer, Refusal, decode_answer
from sandbox.airlock.models.specification import ModelSpecification

_ROOT: Final = Path(__file__).parents[3]
_MODULE: Final = "sandbox.airlock.models.inside.worker"
_SCRATCH: Final = "/tmp"  # noqa: S108 - the jail's own, made new for each
INSIDE_TABLE: Final = "/job/rows.parquet"
MOST_ANSWER: Final = 64 * 1024**2


class Caps(msgspec.Struct, frozen=True):
    """The most that one model may take: bytes of addresses, seconds of work, of waiting and for shadow models."""

    addresses: int = 4 * 1024**3
    cpu_seconds: int = 900
    wall_seconds: float = 900
    shadow_seconds: float = 60


class Order(msgspec.Struct, frozen=True):
    """What the worker is told: the declaration, where the rows lie (empty: only read), its caps, the file's size."""

    specification: ModelSpecification
    table: str
    size: int
    least: int
    seconds: float
    addresses: int
    cpu_seconds: int
    also: tuple[str, ...] = ()


class WorkerFailed(RuntimeError):
    """The worker gave no answer, or not the agreed one; the message says which and holds nothing of the model."""


def ask(
    data: bytes, specification: ModelSpecification, table: Path | None, *, least: int, also: Sequence[Path] = (),
    caps: Caps | None = None,
) -> Answer | Refusal:  # fmt: skip
    """Return what the worker says of a model over the rows at `table` (None: it is only read).

    `also` are numbers of other releases, which are looked for among the model's.

    Raises WorkerFailed where no jail can be made, it crashes, takes too long or answers otherwise than agreed.
    """
    caps = caps or Caps()
    order = Order(
        specification, INSIDE_TABLE if table else "", len(data), least, caps.shadow_seconds, caps.addresses,
        caps.cpu_seconds, tuple(_inside(place) for place in range(len(also))),
    )  # fmt: skip
    head = msgspec.msgpack.encode(order)
    with _filter() as seccomp, tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                command(table, seccomp.fileno(), also), input=len(head).to_bytes(8, "big") + head + data, stdout=said,
                stderr=subprocess.DEVNULL, env=_variables(), timeout=caps.wall_seconds, check=False,
                start_new_session=True, cwd="/", pass_fds=(seccomp.fileno(),),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise WorkerFailed("it took too long") from None
        except OSError:
            raise WorkerFailed("no jail can be made for it") from None
        if done.returncode != 0 or said.tell() > MOST_ANSWER:
            raise WorkerFailed("it ended without an answer")
        said.seek(0)
        try:
            return decode_answer(said.read())
        except (msgspec.MsgspecError, ValueError):
            raise WorkerFailed("its answer is not of the agreed form") from None


def command(table: Path | None, seccomp: int, also: Sequence[Path] = ()) -> list[str]:
    """Return bubblewrap's command: programs and code to read, the rows, scratch in memory, no network."""
    shown = {Path(sys.prefix).resolve(), Path(sys.prefix), *(_ROOT / name for name in ("sandbox", "shuzha"))}
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
    if table is not None:
        options += ["--ro-bind", str(table), INSIDE_TABLE]
    for place, path in enumerate(also):
        options += ["--ro-bind", str(path), _inside(place)]
    options += ["--remount-ro", "/", "--seccomp", str(seccomp), "--chdir", "/", "--"]
    return [*options, sys.executable, "-P", "-s", "-m", _MODULE]


@contextmanager
def _filter() -> Iterator[IO[bytes]]:
    """Give the filter of system calls that every jail has, in an open file."""
    from sandbox.workspaces.jails.seccomp import compile_filter  # Needs libseccomp, which the worker has not.

    with tempfile.TemporaryFile() as file:
        file.write(compile_filter())
        file.flush()
        file.seek(0)
        yield file


def _inside(place: int) -> str:
    return f"/job/other-{place}.parquet"


def _variables() -> dict[str, str]:
    kept = {"LD_LIBRARY_PATH": os.environ["LD_LIBRARY_PATH"]} if "LD_LIBRARY_PATH" in os.environ else {}
    return kept | {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(_ROOT), "POLARS_MAX_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "HOME": _SCRATCH,
        "PYTHONHASHSEED": "0",
    }  # fmt: skip

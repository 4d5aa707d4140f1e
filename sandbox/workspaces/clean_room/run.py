"""The clean room: a submitted notebook run again from top to bottom, by nobody's hand, in a jail with a kernel alone.

No gate, no network, no home, no socket of the platform: the granted releases, read-only, and an outbox. The notebook is
driven from outside the jail, so caps, timing and the collected outputs are the platform's own.
"""

from __future__ import annotations

import asyncio
import builtins
import hashlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from sandbox.workspaces.clean_room.box import LocalRooms, Room, RoomJob, Rooms, new_job
from sandbox.workspaces.clean_room.kernel import CountingClient, make_manager
from sandbox.workspaces.clean_room.outbox import Collected, OutboxCaps, collect
from sandbox.workspaces.clean_room.relay import Relay, most_on_the_wire
from sandbox.workspaces.environment.fingerprint import environment_hash
from sandbox.workspaces.host.limits import CgroupHost, Limits
from sandbox.workspaces.jails.jail import JailFailed
from sandbox.workspaces.records.specs import GrantedRelease

_START_SECONDS = 60
MOST_NOTEBOOK_BYTES = 8 * 1024**2
_KNOWN_ERRORS = frozenset(name for name in vars(builtins) if name.endswith(("Error", "Exception", "Interrupt")))
_POLARS_ERRORS = frozenset({
    "ColumnNotFoundError", "ComputeError", "DuplicateError", "InvalidOperationError", "NoDataError", "SchemaError",
    "SchemaFieldNotFoundError", "ShapeError", "OutOfBoundsError", "WorkbenchError", "KernelEnded",
})  # fmt: skip


_FORMAT: Any = nbformat  # it has types for some of its functions only


class RunState(StrEnum):
    """How a run ended."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    ENDED = "ended"
    """The room ended it: memory, processes, or more output than it may have."""


@dataclass(frozen=True, slots=True)
class RoomCaps:
    """The most that a clean room may take: seconds, bytes said by the kernel, the jail's limits, the outbox."""

    cell_seconds: int = 600
    wall_seconds: int = 1800
    said_bytes: int = 8 * 1024**2
    jail: Limits = field(default_factory=Limits)
    outbox: OutboxCaps = field(default_factory=OutboxCaps)


@dataclass(frozen=True, slots=True)
class CellTiming:
    """How long one code cell took, in whole seconds (finer would say something of the data)."""

    cell: int
    seconds: int


@dataclass(frozen=True, slots=True)
class FailedCell:
    """The cell at which a run ended: its number (from 1, over all cells), its first line, and the kind of error.

    The error's message is not in it: the kernel writes it, and it could hold data.
    """

    cell: int
    line: str
    error: str


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run. `notebook` is the executed copy with outputs, for reviewers' eyes and never released."""

    id: str
    state: RunState
    seconds: int
    notebook_hash: str
    environment_hash: str
    timings: tuple[CellTiming, ...]
    failed: FailedCell | None
    outputs: Collected
    log: tuple[str, ...]
    notebook: bytes


@dataclass(slots=True)
class _Progress:
    """What is known while a notebook runs."""

    report: Callable[[int, int], None] | None
    total: int = 0
    cell: int = -1
    started: float = 0.0
    timings: list[CellTiming] = field(default_factory=list)
    ended_by: str = ""

    def begin(self, cell: Any, cell_index: int) -> None:
        self.cell, self.started = cell_index, time.monotonic()

    def finish(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        self.timings.append(CellTiming(cell_index + 1, math.ceil(time.monotonic() - self.started)))
        if self.report is not None:
            self.report(len(self.timings), self.total)


class NotebookRefused(ValueError):
    """The bytes are no notebook that a clean room runs; the message says which rule."""


def run_notebook(
    notebook: bytes, releases: Sequence[GrantedRelease], *, environment: Path, work: Path | None = None,
    rooms: Rooms | None = None, host: CgroupHost | None = None, caps: RoomCaps | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Run:  # fmt: skip
    """Return what came of running `notebook` over `releases`, having left nothing running and nothing on disk.

    Refuses bytes that are no notebook with `NotebookRefused`; a notebook that fails gives a Run that names the cell.
    `rooms` is who makes the room: the jailer, or else this process, in the folder `work`, which must be short and in
    lower case. `report` is told (cells done, cells in all). Raises JailFailed where the platform is at fault.
    """
    caps = caps or RoomCaps()
    document = parse_notebook(notebook)
    job = new_job(releases, caps.jail, caps.outbox.total_bytes)
    begun = time.monotonic()
    progress = _Progress(report, sum(cell.cell_type == "code" for cell in document.cells))
    with _open(rooms, environment, work, host, job) as room:
        # In a thread of its own: nbclient would take the signals of the main one.
        with ThreadPoolExecutor(1) as thread:
            driving = thread.submit(lambda: asyncio.run(_drive(document, room, caps, progress)))
            state, failed = driving.result()
        outputs = collect(room.box / "outbox", caps.outbox)
    return Run(
        job.name, state, math.ceil(time.monotonic() - begun), hashlib.sha256(notebook).hexdigest(),
        environment_hash(environment), tuple(progress.timings), failed, outputs,
        _log(state, failed, progress, outputs), _FORMAT.writes(document).encode(),
    )  # fmt: skip


def _open(
    rooms: Rooms | None, environment: Path, work: Path | None, host: CgroupHost | None, job: RoomJob
) -> AbstractContextManager[Room]:
    if rooms is not None:
        return rooms.open(job)
    if work is None:
        raise ValueError("cannot run a notebook: either `rooms` or a folder `work` is needed")
    return LocalRooms(environment, work, host).open(job)


def parse_notebook(notebook: bytes) -> Any:
    """Return the notebook, valid and in the current format; refuse anything else with `NotebookRefused`."""
    if len(notebook) > MOST_NOTEBOOK_BYTES:
        raise NotebookRefused(f"cannot run a notebook above {MOST_NOTEBOOK_BYTES} bytes: clear its outputs")
    try:
        document = _FORMAT.reads(notebook.decode("utf-8"), as_version=4)
        _FORMAT.validate(document)
    except (nbformat.ValidationError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise NotebookRefused(f"cannot run this file: it is no valid notebook ({type(error).__name__})") from None
    for cell in document.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return document


async def _drive(
    document: Any, room: Room, caps: RoomCaps, progress: _Progress
) -> tuple[RunState, FailedCell | None]:  # fmt: skip
    """Run the notebook's cells in the room and end it, whatever happens."""

    def end(reason: str) -> None:
        progress.ended_by = progress.ended_by or reason
        room.kill()

    def end_flood() -> None:
        end(f"it said more than {caps.said_bytes} bytes")

    clock = threading.Timer(caps.wall_seconds, end, [f"it took longer than {caps.wall_seconds} seconds"])
    clock.daemon = True
    async with Relay(room, most_on_the_wire(caps.said_bytes), end_flood) as relay:
        manager: Any = make_manager(room, relay.place)
        client: Any = CountingClient(
            document, km=manager, timeout=caps.cell_seconds, record_timing=False,
            on_cell_execute=progress.begin, on_cell_executed=progress.finish, store_widget_state=False,
        )  # fmt: skip
        client.most_bytes, client.on_flood = caps.said_bytes, end_flood
        clock.start()
        try:
            return await _execute(client, document, progress)
        finally:
            clock.cancel()
            if client.kc is not None:
                client.kc.stop_channels()
            await asyncio.to_thread(room.kill)


async def _execute(
    client: Any, document: Any, progress: _Progress
) -> tuple[RunState, FailedCell | None]:  # fmt: skip
    try:
        await client.km.start_kernel()
        client.kc = client.km.client()
        client.kc.start_channels()
        await client.kc.wait_for_ready(timeout=_START_SECONDS)
        await client.async_execute()
    except JailFailed:
        raise  # the platform's own fault, not the notebook's
    except CellExecutionError as error:
        return RunState.FAILED, _name_cell(document, progress.cell, error.ename)
    except CellTimeoutError:
        progress.ended_by = progress.ended_by or "a cell took too long"
        return RunState.TIMED_OUT, _name_cell(document, progress.cell, "TimeoutError")
    except (DeadKernelError, RuntimeError, TimeoutError):
        timed_out = "longer" in progress.ended_by
        progress.ended_by = progress.ended_by or "its kernel ended (memory, processes, or its own doing)"
        state, kind = (RunState.TIMED_OUT, "TimeoutError") if timed_out else (RunState.ENDED, "KernelEnded")
        return state, _name_cell(document, progress.cell, kind)
    except OSError:
        raise  # the host's fault
    except Exception:  # The boundary to the kernel: what it sends may be of any shape, and then the run is over.
        progress.ended_by = progress.ended_by or "its kernel said what no kernel says"
        return RunState.ENDED, _name_cell(document, progress.cell, "KernelEnded")
    if progress.ended_by:
        return RunState.ENDED, _name_cell(document, progress.cell, "KernelEnded")
    return RunState.DONE, None


def _name_cell(document: Any, index: int, error: str) -> FailedCell | None:
    if not 0 <= index < len(document.cells):
        return None
    lines = [line.strip() for line in document.cells[index].source.splitlines() if line.strip()]
    known = error if error in _KNOWN_ERRORS | _POLARS_ERRORS else "an error of the notebook's own"
    return FailedCell(index + 1, lines[0][:120] if lines else "", known)


def _log(state: RunState, failed: FailedCell | None, progress: _Progress, outputs: Collected) -> tuple[str, ...]:
    """Return the run in a few sentences of the platform's own; nothing that the notebook printed is in them."""
    lines = [f"{len(progress.timings)} of {progress.total} code cells ran"]
    if failed is not None:
        lines.append(f"cell {failed.cell} ended the run: {failed.error}")
    if progress.ended_by:
        lines.append(f"the room ended the run: {progress.ended_by}")
    lines.append(f"{len(outputs.declared)} outputs declared; the run is {state}")
    return (*lines, *outputs.problems)

"""A notebook in a clean room against who drives it: what its kernel says by ZeroMQ, in and out of turn."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
import pytest
from workspace_kit import ENVIRONMENT

from sandbox.workspaces.clean_room.run import RoomCaps, Run, RunState, run_notebook
from sandbox.workspaces.host.limits import Limits

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]
MIB = 1024**2


def run_room(*cells: str, said_bytes: int) -> Run:
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    caps = RoomCaps(wall_seconds=20, said_bytes=said_bytes, jail=Limits(400 * MIB, 64, 200))
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        return run_notebook(
            nbformat.writes(document).encode(), [], environment=ENVIRONMENT, work=Path(name) / "rooms", caps=caps
        )


ENDLESS = """
import os, socket, time
path, most = "/job/sockets/k-2", {most}
os.rename(path, path + "-old")
mine = socket.socket(socket.AF_UNIX)
mine.bind(path)
os.chmod(path, 0o777)
mine.listen(8)
for number in os.listdir("/proc/self/fd"):  # cut who reads what the kernel says: it connects again, to us
    try:
        one = socket.socket(fileno=os.dup(int(number)))
        cut = one.getsockname() in (path, path + "-old") and not one.getsockopt(1, socket.SO_ACCEPTCONN)
        if cut and one.fileno() != mine.fileno():
            one.shutdown(2)
    except OSError:
        pass
mine.settimeout(8)
caller, _ = mine.accept()
caller.sendall(b"\\xff" + bytes(8) + b"\\x7f\\x03\\x00" + b"NULL".ljust(20, b"\\0") + bytes(32))
ready = b"\\x05READY\\x0bSocket-Type" + (3).to_bytes(4, "big") + b"PUB"
caller.sendall(b"\\x04" + bytes([len(ready)]) + ready)
caller.recv(4096)
{frame}
time.sleep(0.5)
"""
FRAMES = {
    "one endless frame": 'caller.sendall(b"\\x02" + (2**34).to_bytes(8, "big"))\n'
    "for _ in range(most): caller.sendall(bytes(2**20))",
    "endless parts": 'part = b"\\x03" + (2**19).to_bytes(8, "big") + bytes(2**19)\n'
    "for _ in range(2 * most): caller.sendall(part)",
}


def held_by_driver(frame: str, said_bytes: int) -> tuple[RunState, int]:
    """Return how a run ended, and by how many MiB the memory of its driver, this process, grew in it at the most."""
    Path("/proc/self/clear_refs").write_text("5")  # The peak is counted anew from here on.
    before = read_peak()
    run = run_room(ENDLESS.format(frame=frame, most=200), said_bytes=said_bytes)
    return run.state, (read_peak() - before) // 1024


def read_peak() -> int:
    """Return the most memory, in KiB, that this process has held since the peak was counted anew."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.attack(
    what="a message of ZeroMQ without an end, in one frame or in parts, to fill the memory of who drives the room",
    route="a clean room's kernel that speaks ZeroMQ itself", layer="clean room",
    control="with a larger cap the same message is in the driver's memory",
)  # fmt: skip
def test_message_without_an_end_fills_no_memory(kind: str) -> None:
    state, grown = held_by_driver(FRAMES[kind], 1_000_000)
    assert (state, grown < 60) == (RunState.ENDED, True)
    if kind == "one endless frame":  # what has grown once does not grow again
        assert held_by_driver(FRAMES[kind], 1000 * MIB)[1] > 150, "the control"


CRAFTED = {
    "a picture without data": 'kernel.send_response(kernel.iopub_socket, "display_data", {})',
    "no JSON": 'kernel.session.pack = lambda _: b"{"\nkernel.send_response(kernel.iopub_socket, "stream", {})',
    "another key": 'kernel.session.key = b"x" * 16\nkernel.send_response(kernel.iopub_socket, "stream", {})',
    "deep": 'kernel.session.pack = lambda _: b"[" * 100000\nkernel.send_response(kernel.iopub_socket, "stream", {})',
}


@pytest.mark.parametrize("kind", CRAFTED)
@pytest.mark.attack(
    what="messages that no kernel sends: fields missing or of another kind, no JSON, deep JSON, another signature",
    route="a clean room's kernel", layer="clean room", control="the same notebook without them runs to its end",
)  # fmt: skip
def test_message_out_of_turn_ends_its_own_run_at_most(kind: str) -> None:
    run = run_room(f"kernel = get_ipython().kernel\n{CRAFTED[kind]}", "print(1)", said_bytes=1_000_000)
    assert run.state in {RunState.DONE, RunState.ENDED, RunState.FAILED, RunState.TIMED_OUT}


@pytest.mark.works
def test_notebook_that_says_nothing_odd_runs_to_its_end() -> None:
    assert run_room("kernel = get_ipython().kernel", "print(1)", said_bytes=1_000_000).state is RunState.DONE

"""What notebooks and their libraries need of the system works in a real kernel, under the filter and Landlock."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import nbformat
import pytest
from workspace_kit import ENVIRONMENT

from sandbox.workspaces.clean_room.run import RoomCaps, RunState, run_notebook
from sandbox.workspaces.host.limits import Limits
from sandbox.workspaces.jails import jail, seccomp

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]

NEEDS = {
    "polars in threads": """
import polars as pl
assert pl.thread_pool_size() == 2
frame = pl.DataFrame({"a": range(300_000)}).lazy().group_by(k=pl.col("a") % 97).agg(pl.col("a").sum())
assert frame.collect().height == 97
pl.DataFrame({"a": [1, 2]}).write_parquet("/tmp/a.parquet")
assert pl.scan_parquet("/tmp/a.parquet").collect().height == 2
pl.DataFrame({"a": [1, 2]}).write_ipc("/tmp/a.arrow")
assert pl.scan_ipc("/tmp/a.arrow").collect().height == 2""",
    "numpy": """
import numpy as np
square = np.random.default_rng(1).normal(size=(400, 400))
assert np.allclose(np.linalg.solve(square, square @ np.ones(400)), 1)
np.save("/tmp/a.npy", square); assert np.load("/tmp/a.npy", mmap_mode="r").shape == (400, 400)""",
    "processes": """
import subprocess, sys
said = subprocess.run("echo one | tr o O", shell=True, capture_output=True, text=True).stdout
assert said == "One\\n"
assert subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True).stdout == b"1\\n"
import os; assert os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn("/usr/bin/true", ["true"], {}), 0)[1]) == 0""",
    "pools": """
import multiprocessing, concurrent.futures
for method in ("fork", "forkserver"):
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert sum(pool.map(abs, range(100))) == 4950
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(create=True, size=4096); block.close(); block.unlink()""",
    "asyncio": """
import asyncio
async def talk():
    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    assert (await process.communicate(b"x"))[0] == b"x"
    server = await asyncio.start_unix_server(lambda r, w: w.close(), "/tmp/s.sock")
    reader, writer = await asyncio.open_unix_connection("/tmp/s.sock")
    assert await reader.read() == b""
    writer.close(); server.close()
await talk()""",
    "signals": """
import signal, threading
caught = []
signal.signal(signal.SIGUSR1, lambda number, frame: caught.append(number))
os.kill(os.getpid(), signal.SIGUSR1); signal.raise_signal(signal.SIGUSR1)
signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
signal.setitimer(signal.ITIMER_REAL, 0); signal.alarm(0)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
assert signal.sigtimedwait({signal.SIGUSR2}, 1).si_signo == signal.SIGUSR2 and len(caught) == 3""",
    "memory": """
import mmap
with mmap.mmap(-1, 1 << 20) as area:
    area[:3] = b"abc"; area.madvise(mmap.MADV_DONTNEED); area.resize(1 << 21)
number = os.memfd_create("m"); os.ftruncate(number, 4096); mmap.mmap(number, 4096).flush(); os.close(number)""",
    "events": """
import select
poll, pipe = select.epoll(), os.pipe()
poll.register(pipe[0], select.EPOLLIN); os.write(pipe[1], b"x"); assert poll.poll(1)
count = os.eventfd(1); assert os.eventfd_read(count) == 1
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    answer = getattr(libc, name)(*arguments)
    assert answer >= 0, (name, os.strerror(ctypes.get_errno()))
    return answer
watch = call("inotify_init1", 0); call("inotify_add_watch", watch, b"/tmp", 0x100)
open("/tmp/watched", "w").close(); assert os.read(watch, 4096)
call("timerfd_create", 1, 0); call("sched_getcpu"); call("malloc_trim", 0)
call("syscall", 324 if os.uname().machine == "x86_64" else 283, 0, 0, 0)""",
    "files": """
import shutil, tempfile, fcntl, pathlib, zipfile, tarfile, sqlite3
place = pathlib.Path(tempfile.mkdtemp()); (place / "a").write_bytes(b"x" * 100_000)
shutil.copy2(place / "a", place / "b"); shutil.copytree(place, place.with_name("copied"))
with open(place / "a", "rb") as a, open(place / "c", "wb") as c:
    assert os.copy_file_range(a.fileno(), c.fileno(), 1000) == 1000
    assert os.sendfile(c.fileno(), a.fileno(), 0, 1000) == 1000
    os.posix_fallocate(c.fileno(), 0, 4096); os.posix_fadvise(a.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
    fcntl.flock(a, fcntl.LOCK_EX); os.fsync(c.fileno())
os.symlink("a", place / "d"); os.link(place / "a", place / "e"); os.mkfifo(place / "f"); os.utime(place / "a")
os.listxattr(place / "a")
with zipfile.ZipFile(place / "z.zip", "w") as z: z.write(place / "a", "a")
with tarfile.open(place / "t.tgz", "w:gz") as t: t.add(place / "a", "a")
with sqlite3.connect(place / "s.db") as db:
    db.execute("pragma journal_mode = wal"); db.execute("create table t (a)"); db.execute("insert into t values (1)")
assert os.statvfs("/home/analyst").f_bsize and list(os.scandir(place)) and os.stat(place).st_mode
os.rename(place / "b", place / "g"); os.truncate(place / "g", 10); shutil.rmtree(place)""",
    "machine": """
import time, resource, platform, uuid, random, locale, getpass
assert len(os.sched_getaffinity(0)) and os.cpu_count() and os.getloadavg() and platform.platform()
os.getrandom(8), uuid.uuid4(), random.SystemRandom().random(), getpass.getuser()
time.sleep(0.001), time.clock_gettime_ns(time.CLOCK_MONOTONIC), time.thread_time(), os.times()
resource.getrlimit(resource.RLIMIT_NOFILE); resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.nice(0)
import psutil
psutil.Process().memory_info(), psutil.cpu_count(), psutil.net_if_addrs(), psutil.virtual_memory()""",
    "terminals": """
master, slave = os.openpty()
import termios, tty
tty.setraw(slave); termios.tcgetwinsize(slave); assert os.isatty(slave)
import pty
pid, number = pty.fork()
if pid == 0: os.execv("/bin/echo", ["echo", "hello"])
assert b"hello" in os.read(number, 100)""",
}


def run_cells(cells: list[str]) -> tuple[RunState, list[str]]:
    """Return how a real clean room ended over `cells`, and what each of them printed or raised."""
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        run = run_notebook(
            nbformat.writes(document).encode(), [], environment=ENVIRONMENT, work=Path(folder) / "rooms",
            caps=RoomCaps(wall_seconds=90, jail=Limits(memory_bytes=1024**3, processes=128, cpu_percent=200)),
        )  # fmt: skip
    executed = nbformat.reads(run.notebook.decode(), as_version=4).cells
    said = ["".join(str(o.get("text") or o.get("evalue") or "") for o in cell.outputs) for cell in executed]
    return run.state, said


def test_what_notebooks_need_works() -> None:
    state, said = run_cells(["import os", *NEEDS.values()])
    assert state is RunState.DONE, said


def test_a_call_left_out_of_the_list_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without the group of calls that watch, the same notebook fails."""
    groups = tuple(call for call in seccomp.list_calls() if not call.startswith("inotify"))
    with monkeypatch.context() as patch:
        patch.setattr(seccomp, "list_calls", lambda: groups)
        program = seccomp.compile_filter.__wrapped__()
    monkeypatch.setattr(jail, "compile_filter", lambda: program)
    state, said = run_cells(["import os", NEEDS["events"]])
    assert state is RunState.FAILED
    assert "inotify" in json.dumps(said)

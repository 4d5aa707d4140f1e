"""Names, links, sizes and races where the platform reads what a workspace wrote: outbox, notebooks, sockets."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from attack_kit import batch, outcomes
from small_world import OUTWARD
from workspace_kit import ENVIRONMENT, RunningHub

from sandbox.airlock.content import inspect
from sandbox.inbound.model import Rules
from sandbox.inbound.reading import read_file
from sandbox.workspaces import platform_socket
from sandbox.workspaces.clean_room.outbox import OutboxCaps, collect
from sandbox.workspaces.clean_room.run import RoomCaps, Run, RunState, run_notebook
from sandbox.workspaces.host.homes import UnsafePath, read_beneath
from sandbox.workspaces.host.limits import Limits
from sandbox.workspaces.platform_socket import PlatformSockets
from sandbox.workspaces.records.runtime import runtime_paths
from shuzha.core.errors import Invalid, ShuzhaError

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]

# --- the outbox -----------------------------------------------------------------------------------------------------

SWAP = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
one, other = (os.fsencode(path) for path in sys.argv[1:])
print(flush=True)
while libc.renameat2(-100, one, -100, other, 2) == 0:
    pass
"""


@contextlib.contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Exchange two names without end, as a notebook that races with its reader would."""
    process = subprocess.Popen([sys.executable, "-c", SWAP, str(one), str(other)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def read_often(read: Callable[[], bytes]) -> set[bytes]:
    found = set()
    for _ in range(3000):
        with contextlib.suppress(OSError, UnsafePath):
            found.add(read())
    return found


@pytest.mark.parametrize("name", ["out.csv", "deep/out.csv"])
@pytest.mark.attack(
    what="a file, or its folder, exchanged for a link to a secret while it is read", route="the outbox",
    layer="outbox reader", control="a plain reader of the same name is given the secret",
)  # fmt: skip
def test_race_for_a_link_is_never_won(tmp_path: Path, name: str) -> None:
    secret, outbox = tmp_path / "secret", tmp_path / "outbox"
    for folder in (secret, outbox / "deep"):
        folder.mkdir(parents=True)
        (folder / "out.csv").write_bytes(b"harmless")
    (outbox / "out.csv").write_bytes(b"harmless")
    (secret / "out.csv").write_bytes(b"secret")
    swapped = outbox / name.partition("/")[0]
    trap = outbox / "trap"
    trap.symlink_to(secret if swapped.is_dir() else secret / "out.csv")
    with swapping(swapped, trap):
        assert read_often(lambda: read_beneath(outbox, name, 100)) == {b"harmless"}
        assert read_often((outbox / name).read_bytes) == {b"harmless", b"secret"}, "the control"


def declare(outbox: Path, name: str, file: str) -> None:
    body = {"name": name, "kind": "file", "file": file, "media": "text/csv"}
    (outbox / f"{name}.json").write_text(json.dumps(body))


@pytest.mark.attack(
    what="very many and very large outputs, sparse ones too", route="the outbox", layer="outbox reader",
    control="with larger caps the same outbox is read whole",
)  # fmt: skip
def test_outbox_is_read_within_its_caps(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"a{number}.csv").write_text("x")
        declare(tmp_path, f"a{number}", f"a{number}.csv")
    with (tmp_path / "a0.csv").open("wb") as sparse:
        sparse.truncate(40 * 1024**2)
    held = collect(tmp_path)
    assert (len(held.declared), len(held.problems)) == (31, 2), "the first 32 but the large one"
    free = collect(tmp_path, OutboxCaps(declarations=3000, file_bytes=2**26, total_bytes=2**27))
    assert (len(free.declared), free.problems) == (2000, ()), "the control"


ESCAPES = (
    "../outside",
    "deep/../../outside",
    "/etc/passwd",
    "..",
    "./../outside",
    "linked",
    "folder/passwd",
    "pipe",
    "second",
)


@pytest.mark.attack(
    what="names that leave the outbox, links, folders through links, pipes, second names", route="the outbox",
    layer="outbox reader", control="a plain file beside them is read; a plain reader follows the same names",
)  # fmt: skip
def test_name_that_leaves_the_outbox_is_not_read(tmp_path: Path) -> None:
    outbox = tmp_path / "outbox"
    (outbox / "deep").mkdir(parents=True)
    (tmp_path / "outside").write_text("secret")
    (outbox / "plain").write_text("harmless")
    (outbox / "linked").symlink_to(tmp_path / "outside")
    (outbox / "folder").symlink_to("/etc")
    os.mkfifo(outbox / "pipe")
    os.link(tmp_path / "outside", outbox / "second")
    for name in ESCAPES:
        with pytest.raises(UnsafePath):
            read_beneath(outbox, name, 10**6)
    assert read_beneath(outbox, "plain", 100) == b"harmless", "the control"
    followed = [name for name in ESCAPES if name not in {"..", "pipe"}]
    assert all((outbox / name).read_bytes() for name in followed), "the control"


# --- archives: a file out, a file in --------------------------------------------------------------------------------


@pytest.mark.attack(
    what="archives with ways out in their names, and one that unpacks to much", route="an output; an import request",
    layer="platform", control="the rows of the same archive as plain CSV pass both",
)  # fmt: skip
def test_archive_passes_neither_way(tmp_path: Path) -> None:
    rows = b"district,branches\n370102,3\n370103,4\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../etc/cron.d/x", rows)
        archive.writestr("many.csv", bytes(10**7))
    for place, content in enumerate((buffer.getvalue(), rows)):
        upload, scratch = tmp_path / f"upload{place}", tmp_path / f"scratch{place}"
        upload.write_bytes(content)
        scratch.mkdir()
        taken = inspect(content).content is not None
        if content == rows:
            assert read_file(upload, "file.csv", scratch, Rules())[0].height == 2, "the control"
        else:
            with pytest.raises(Invalid, match="archive"):
                read_file(upload, "file.csv", scratch, Rules())
            assert list(scratch.iterdir()) == []
        assert taken is (content == rows)


# --- notebooks, kernels, sockets ------------------------------------------------------------------------------------

NOTEBOOKS = (
    "../private.ipynb", "/etc/passwd", "a/../../private.ipynb", "..", "first-look.ipynb/..", "", "a\0.ipynb",
    "linked.ipynb", "x" * 5000 + ".ipynb", "first-look.csv",
)  # fmt: skip


@pytest.mark.attack(
    what="names of notebooks that leave their folder, links, other kinds", route="a submission by the platform socket",
    layer="jailer", control="a notebook of its own is read",
)  # fmt: skip
def test_submission_reads_nothing_but_a_notebook(hub: RunningHub, workspace: str) -> None:
    plant = "import os\nopen('/home/analyst/private.ipynb', 'w').write('{}')\n"
    plant += "os.symlink('/home/analyst/private.ipynb', '/home/analyst/notebooks/linked.ipynb')"
    hub.run_code("acc_alice", workspace, plant)
    try:
        for name in NOTEBOOKS:
            with pytest.raises(ShuzhaError):
                hub.jailer().read_notebook(workspace, name)
        assert hub.jailer().read_notebook(workspace, "first-look.ipynb"), "the control"
    finally:
        hub.run_code("acc_alice", workspace, "import os\nos.remove('/home/analyst/notebooks/linked.ipynb')")


@pytest.mark.attack(
    what="another folder, another kernel's name, preloads and module paths in a request for a kernel",
    route="the server's REST through the gate", layer="jailer",
    control="a folder of its own notebooks is where the kernel stands",
)  # fmt: skip
def test_request_for_a_kernel_moves_no_wall(hub: RunningHub, workspace: str) -> None:
    hub.run_code("acc_alice", workspace, "import os\nos.makedirs('/home/analyst/notebooks/sub', exist_ok=True)")
    given = {"LD_PRELOAD": "/home/analyst/x.so", "PYTHONPATH": "/home/analyst", "SHUZHA_DATA": "/"}
    asked: dict[str, dict[str, Any]] = {
        "sub": {"name": "python3", "path": "sub"}, "out": {"name": "python3", "path": "../../../etc", "env": given},
        "name": {"name": "../../python3"}, "file": {"name": "/etc/passwd"},
    }  # fmt: skip
    look = f"import os\nprint(os.getcwd(), [os.environ.get(name) for name in {list(given)}], sorted(os.listdir('/')))"
    seen, before = {}, hub._kernels.get(workspace, "")
    with httpx.Client(headers=hub.headers(), base_url=hub.path("acc_alice", workspace), timeout=30) as browser:
        for what, body in asked.items():
            answer = browser.post("/api/kernels", json=body)
            if answer.status_code != 201:
                seen[what] = str(answer.status_code)
                continue
            hub._kernels[workspace] = answer.json()["id"]
            seen[what] = hub.run_code("acc_alice", workspace, look).text.strip()
            browser.delete(f"/api/kernels/{answer.json()['id']}")
    hub._kernels[workspace] = before
    assert seen["sub"].startswith("/home/analyst/notebooks/sub [None, None, '/data']"), "the control"
    plain = seen["sub"].removeprefix("/home/analyst/notebooks/sub")
    assert seen["out"] in {"400", "404", "500", f"/home/analyst{plain}", f"/home/analyst/notebooks{plain}"}
    assert {seen["name"], seen["file"]} <= {"400", "404", "500"}


class Desk:
    """What a platform answers, and to whom."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def status(self, workspace: str) -> dict[str, Any]:
        self.asked.append(workspace)
        return {"state": "open"}


CONNECT = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
CONNECT += 's.sendall(b\'{"verb": "status"}\\n\')\nprint(s.makefile().readline())'


@pytest.mark.attack(
    what="another workspace's platform socket, and another workspace's name in a request", route="the platform socket",
    layer="platform", control="its own user is answered by it, for its own workspace",
)  # fmt: skip
def test_socket_answers_its_own_workspace_only() -> None:
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        desk = Desk()
        answers = asyncio.run(ask_sockets(Path(name), desk))
    assert answers["another's"] == ""
    assert json.loads(answers["own"])["ok"] is True, "the control"
    assert desk.asked == ["w-one"]
    assert '"malformed"' in answers["another's name"]


async def ask_sockets(folder: Path, desk: Any) -> dict[str, str]:
    sockets = PlatformSockets(folder, desk)
    users = {"w-one": 230_021, "w-two": 230_022}
    for workspace, uid in users.items():
        runtime_paths(folder, workspace).make()
        await sockets.open(workspace, uid)
        for path in (runtime_paths(folder, workspace).platform, *runtime_paths(folder, workspace).platform.parents):
            if path.is_relative_to(folder):
                path.chmod(0o777)  # The mistake of an administrator: everybody may connect.
    said = {}
    for what, workspace, line in (
        ("own", "w-one", ""), ("another's", "w-two", ""),
        ("another's name", "w-one", '{"verb": "status", "workspace": "w-two"}'),
    ):  # fmt: skip
        code = CONNECT.replace('{"verb": "status"}', line) if line else CONNECT
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-I", "-c", code, str(runtime_paths(folder, workspace).platform)],
            user=users["w-one"], group=users["w-one"], capture_output=True, text=True, check=False,
        )  # fmt: skip
        said[what] = done.stdout.strip()
    for workspace in users:
        await sockets.close(workspace)
    return said


class Slow:
    """Verbs of which one workspace's take for ever, until they are let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def status(self, workspace: str) -> dict[str, str]:
        if workspace == "w-one":
            self.let_go.wait(20)
        return {"workspace": workspace}


async def ask_while_another_is_slow(folder: Path) -> bool:
    """Return whether `w-two` is answered, and the process's own clocks go, while `w-one` asks all that it may."""
    slow = Slow()
    sockets: Any = PlatformSockets(folder, slow)  # type: ignore[arg-type]
    callers = []
    for workspace in ("w-one", "w-two"):
        runtime_paths(folder, workspace).make()
        await sockets.open(workspace, os.geteuid())
    for _ in range(platform_socket.MOST_CONNECTIONS):
        callers.append(await asyncio.open_unix_connection(str(runtime_paths(folder, "w-one").platform)))
        callers[-1][1].write(b'{"verb": "status"}\n')
    reader, writer = await asyncio.open_unix_connection(str(runtime_paths(folder, "w-two").platform))
    callers.append((reader, writer))
    await asyncio.sleep(0.1)
    writer.write(b'{"verb": "status"}\n')
    try:
        async with asyncio.timeout(0.5):
            await asyncio.to_thread(int)
            return b"w-two" in await reader.readline()
    except TimeoutError:
        return False
    finally:
        slow.let_go.set()
        for _, one in callers:
            one.close()
        for workspace in ("w-one", "w-two"):
            await sockets.close(workspace)


@pytest.mark.attack(
    what="as many slow verbs as there are connections, to keep others and the platform's clocks waiting",
    route="the platform socket", layer="platform", control="with no turns of its own, another is not answered",
)  # fmt: skip
def test_slow_verbs_of_one_workspace_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        monkeypatch.setattr(platform_socket, "THREADS", 4)
        assert asyncio.run(ask_while_another_is_slow(Path(name)))
        monkeypatch.setattr(platform_socket, "AT_ONCE", 100)
        assert not asyncio.run(ask_while_another_is_slow(Path(name))), "the control"


# --- the clean room -------------------------------------------------------------------------------------------------


def run_room(*cells: str, said_bytes: int) -> Run:
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    caps = RoomCaps(wall_seconds=60, said_bytes=said_bytes, jail=Limits(600 * 1024**2, 64, 200))
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        return run_notebook(
            nbformat.writes(document).encode(), [], environment=ENVIRONMENT, work=Path(name) / "rooms", caps=caps
        )


@pytest.mark.attack(
    what="an output flood", route="a clean room's kernel", layer="clean room",
    control="with a larger cap the same notebook runs to its end",
)  # fmt: skip
@pytest.mark.attack(
    what="every way out of the small world; the platform's socket, the gate, a home", route="a clean room's kernel",
    layer="mount namespace",
    control="the same code in the small world (test_in_a_small_world.py), and in a kernel of a workspace",
)  # fmt: skip
def test_clean_room_lets_nothing_out_but_its_outbox(hub: RunningHub, workspace: str) -> None:
    places = ("/gate/platform", "/home/analyst/notebooks", "/data/social_insurance")
    tries = OUTWARD | {place: f"import os\nos.stat({place!r})" for place in places}
    flood = "for _ in range(30): print('x' * 100_000)"
    assert run_room(flood, said_bytes=1_000_000).state is RunState.ENDED
    free = run_room(batch(tries), flood, said_bytes=10_000_000)
    assert free.state is RunState.DONE, "the control"
    found = outcomes(nbformat.reads(free.notebook.decode(), as_version=4).cells[0].outputs[0].text)
    assert {what: how for what, how in found.items() if not how.startswith("refused")} == {}
    inside = outcomes(hub.run_code("acc_alice", workspace, batch({place: tries[place] for place in places})).text)
    assert set(inside.values()) == {"reached"}, "the control"

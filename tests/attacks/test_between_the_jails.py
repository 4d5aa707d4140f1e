"""What a kernel could gain from its server, from the jailer, or from the folders that it shares with the server.

"Beside the server" is code in a jail that is built as the server's: what somebody could do who has taken it over.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from attack_kit import beside_the_server, inside
from workspace_kit import RunningHub

from sandbox.workspaces.host.limits import CgroupHost
from sandbox.workspaces.jails.warden import group_name, kernel_group_name
from sandbox.workspaces.records.runtime import runtime_paths

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]

FIND = """
import os
def holds(path):
    try:
        return secret in open(path, "rb").read(2_000_000)
    except OSError:
        return False
secret = {backwards!r}[::-1].encode()
folders = [d for d in ("/gate", "/job", "/etc", "/home", "/tmp", "/dev/shm") if os.path.isdir(d)]
files = [os.path.join(d, f) for top in folders for d, _, names in os.walk(top) for f in names]
files += [f"/proc/{{p}}/{{f}}" for p in os.listdir("/proc") if p.isdigit() for f in ("environ", "cmdline")]
return [path for path in files if holds(path)]
"""


def server_environment(hub: RunningHub, workspace: str) -> tuple[int, dict[str, str]]:
    """Return the server's process on the host and its environment, as root sees them."""
    group = CgroupHost.detect().group(group_name(hub.settings.runtime, workspace))
    for pid in group.list_processes():
        pairs = [p.split("=", 1) for p in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in p]
        found = dict(pairs)
        if "JUPYTERHUB_API_TOKEN" in found:
            return pid, found
    raise AssertionError("no process of the server has a token")


@pytest.mark.attack(
    what="the server's token: files, variables and arguments of every process",
    route="code in a kernel", layer="process namespace",
    control="the same search finds a planted token",
)  # fmt: skip
def test_a_kernel_finds_the_servers_token_nowhere(hub: RunningHub, workspace: str) -> None:
    token = server_environment(hub, workspace)[1]["JUPYTERHUB_API_TOKEN"]
    body = FIND.format(backwards=token[::-1])
    assert inside(hub, workspace, body) == ["reached", "[]"]
    control = f"import os\nopen('/tmp/planted', 'w').write({token[::-1]!r}[::-1])\n{body}"
    assert inside(hub, workspace, control) == ["reached", "['/tmp/planted']"], "the control: it finds what is there"
    inside(hub, workspace, "import os\nos.remove('/tmp/planted')")


@pytest.mark.attack(
    what="the server's process",
    route="code in a kernel", layer="process namespace",
    control="root on the host sees it running",
)  # fmt: skip
def test_a_kernel_sees_no_process_of_its_server(hub: RunningHub, workspace: str) -> None:
    body = "import os\nreturn [p for p in os.listdir('/proc') if p.isdigit()"
    body += " and b'singleuser' in open(f'/proc/{p}/cmdline', 'rb').read()]"
    assert inside(hub, workspace, body) == ["reached", "[]"]
    pid, _ = server_environment(hub, workspace)
    assert b"singleuser" in Path(f"/proc/{pid}/cmdline").read_bytes(), "the control: it runs, and root sees it"


@pytest.mark.attack(
    what="processes and sockets of a second kernel",
    route="code in a kernel", layer="process namespace",
    control="both are in their group on the host",
)  # fmt: skip
def test_two_kernels_see_nothing_of_each_other(hub: RunningHub, workspace: str) -> None:
    body = "import os\nreturn len([p for p in os.listdir('/proc') if p.isdigit()]), len(os.listdir('/job/sockets'))"
    assert inside(hub, workspace, body) == ["reached", "(2, 5)"]
    hub.run_code("acc_alice", workspace, "print(1)", fresh=True)
    assert inside(hub, workspace, body) == ["reached", "(2, 5)"]
    group = CgroupHost.detect().group(kernel_group_name(hub.settings.runtime, workspace))
    assert len(group.list_processes()) >= 6, "the control: two kernels run"


@pytest.mark.parametrize("place", ["/gate/out", "/gate/jailer", "/gate/ipc", "/etc/jupyter/shuzha_server.py"])
@pytest.mark.attack(
    what="the ways to hub, jailer and other kernels, the server's settings",
    route="code in a kernel", layer="mount namespace",
    control="the same code beside the server, whose jail mounts them",
)  # fmt: skip
def test_a_kernel_has_no_way_to_hub_or_jailer(hub: RunningHub, workspace: str, place: str) -> None:
    body = f"import os\nreturn os.stat({place!r}).st_mode > 0"
    assert inside(hub, workspace, body) == ["refused", "FileNotFoundError", 2]
    assert beside_the_server(hub, workspace, body) == ["reached", "True"]


@pytest.mark.parametrize("place", ["/data", "/gate/platform", "/home/analyst/private.txt", "/job"])
@pytest.mark.attack(
    what="releases, home, platform socket",
    route="code beside the server", layer="mount namespace",
    control="the same code in a kernel, whose jail mounts them",
)  # fmt: skip
def test_the_server_has_no_data(hub: RunningHub, workspace: str, place: str) -> None:
    hub.run_code("acc_alice", workspace, "open('/home/analyst/private.txt', 'w').write('x')")
    body = f"import os\nreturn os.stat({place!r}).st_mode > 0"
    assert beside_the_server(hub, workspace, body) == ["refused", "FileNotFoundError", 2]
    assert inside(hub, workspace, body) == ["reached", "True"]


@pytest.mark.parametrize("folder", ["/", "/etc/jupyter", "/gate/out", "/gate/jailer", "/gate/ipc", "/opt/env"])
@pytest.mark.attack(
    what="writing to settings, sockets' folders, environment",
    route="code beside the server", layer="read-only mount",
    control="the same write in the home, a writable mount",
)  # fmt: skip
def test_the_servers_settings_and_sockets_take_no_write(hub: RunningHub, workspace: str, folder: str) -> None:
    body = f"open({folder!r} + '/planted', 'w').write('x')"
    assert beside_the_server(hub, workspace, body) == ["refused", "OSError", 30]
    assert beside_the_server(hub, workspace, body.replace(repr(folder), "'/home/analyst'"))[0] == "reached"


# --- links: in the folder of a kernel's sockets, and among the notebooks --------------------------------------------

CONNECT = "import socket\ns = socket.socket(socket.AF_UNIX)\nreturn s.connect({path!r})"


@pytest.mark.parametrize("target", ["/gate/jailer/jailer.sock", "/gate/out/out.sock"])
@pytest.mark.attack(
    what="a link to hub or jailer in place of a kernel's socket",
    route="code in a kernel, for the server to follow", layer="mount without links",
    control="the same link elsewhere is followed",
)  # fmt: skip
def test_a_link_in_place_of_a_kernels_socket_leads_the_server_nowhere(
    hub: RunningHub, workspace: str, target: str
) -> None:
    plant = f"import os\nos.symlink({target!r}, '/job/sockets/trap')\nreturn os.readlink('/job/sockets/trap')"
    assert inside(hub, workspace, plant) == ["reached", repr(target)], "the control: the link is there"
    ipc = runtime_paths(hub.settings.runtime, workspace).ipc
    folder = next(one.name for one in ipc.iterdir() if (one / "trap").is_symlink())
    try:
        trap = CONNECT.format(path=f"/gate/ipc/{folder}/trap")
        assert beside_the_server(hub, workspace, trap) == ["refused", "OSError", 40], "links are not followed there"
        elsewhere = f"import os\nos.symlink({target!r}, '/tmp/trap')\n" + CONNECT.format(path="/tmp/trap")
        assert beside_the_server(hub, workspace, elsewhere)[0] == "reached", "the control: elsewhere they are"
    finally:
        inside(hub, workspace, "import os\nos.remove('/job/sockets/trap')")


@pytest.mark.attack(
    what="ZeroMQ spoken to the jailer",
    route="code beside the server", layer="jailer",
    control="a request of its own protocol is answered",
)  # fmt: skip
def test_words_of_another_protocol_are_not_answered_by_the_jailer(hub: RunningHub, workspace: str) -> None:
    """Were a link followed, the server would speak ZeroMQ to the jailer: it must learn nothing and be let go."""
    greeting = "b'\\xff' + bytes(8) + b'\\x7f\\x03'"
    kernel = str(uuid.uuid4())
    asked = json.dumps({"verb": "poll", "kernel": kernel})
    speak = (
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.settimeout(5)\ns.connect('/gate/jailer/jailer.sock')\n"
        "s.sendall({words})\nreturn s.recv(4096)"
    )
    mixed = speak.format(words=f"{greeting} + b'\\n' + {asked.encode()!r} + b'\\n'")
    assert beside_the_server(hub, workspace, mixed) == ["reached", "b''"], "closed at the first line, without a word"
    right = beside_the_server(hub, workspace, speak.format(words=f"{asked.encode()!r} + b'\\n'"))
    assert '"ok":true' in str(right[1]), "the control: a request of its own is answered"


@pytest.fixture
def links(hub: RunningHub, workspace: str) -> Iterator[None]:
    """Links among the notebooks: to the server's own environment, to a file of the kernel's jail, to a folder."""
    targets = {"environ.ipynb": "/proc/self/environ", "settings.ipynb": "/etc/jupyter/shuzha_server.py", "etc": "/etc"}
    make = "\n".join(f"os.symlink({to!r}, '/home/analyst/notebooks/{name}')" for name, to in targets.items())
    assert inside(hub, workspace, f"import os\n{make}")[0] == "reached"
    yield
    take = "\n".join(f"os.remove('/home/analyst/notebooks/{name}')" for name in targets)
    inside(hub, workspace, f"import os\n{take}")


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("name", ["environ.ipynb", "settings.ipynb", "etc/passwd.ipynb", "etc"])
@pytest.mark.attack(
    what="links among the notebooks to variables, settings, folders",
    route="code in a kernel, then the contents API through the gate", layer="mount without links",
    control="a plain notebook beside them is given",
)  # fmt: skip
def test_a_link_among_the_notebooks_shows_nothing(hub: RunningHub, workspace: str, name: str) -> None:
    base = f"{hub.path('acc_alice', workspace)}/api/contents"
    with httpx.Client(headers=hub.headers()) as browser:
        assert browser.get(f"{base}/{name}", params={"content": 1}).status_code in {403, 404}
        assert browser.put(f"{base}/{name}", json={"type": "notebook", "content": {}}).status_code >= 400
        assert browser.get(f"{base}/first-look.ipynb").status_code == 200, "the control: a plain notebook"
        listed = {one["name"] for one in browser.get(base).json()["content"]}
    assert "first-look.ipynb" in listed
    assert name.partition("/")[0] not in listed


@pytest.mark.usefixtures("links")
@pytest.mark.attack(
    what="links among the notebooks",
    route="code in a kernel, then code beside the server", layer="mount without links",
    control="a plain notebook beside them is read",
)  # fmt: skip
def test_a_link_among_the_notebooks_is_followed_by_no_code_of_the_server(hub: RunningHub, workspace: str) -> None:
    body = "return len(open('/home/analyst/notebooks/{name}').read())"
    assert beside_the_server(hub, workspace, body.format(name="settings.ipynb")) == ["refused", "OSError", 40]
    assert beside_the_server(hub, workspace, body.format(name="first-look.ipynb"))[0] == "reached"


# --- what the jailer is asked ---------------------------------------------------------------------------------------


def say(path: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(line + b"\n")
        return connection.makefile("rb").readline()


CRAFTED = (
    {"verb": "start", "workspace": "W", "account": "acc_alice", "variables": {}, "mounts": [["/", "/data/all"]]},
    {"verb": "start", "workspace": "W", "account": "acc_alice", "variables": {}, "uid": 0},
    {"verb": "start", "workspace": "W", "account": "acc_alice", "variables": {"LD_PRELOAD": "/tmp/x.so"}},
    {"verb": "start", "workspace": "../../etc", "account": "acc_alice", "variables": {}},
    {"verb": "start", "workspace": "W/../other", "account": "acc_alice", "variables": {}},
    {"verb": "start", "workspace": "W\n", "account": "acc_alice", "variables": {}},
    {"verb": "stop", "workspace": "W", "grace": 1e9},
    {"verb": "mount", "workspace": "W"},
    {"workspace": "W"},
)


@pytest.mark.parametrize("request_", CRAFTED, ids=range(len(CRAFTED)))
@pytest.mark.attack(
    what="mounts, users, preloads, other paths in a request",
    route="the jailer's platform socket", layer="jailer",
    control="a request with the verb's own fields is answered",
)  # fmt: skip
def test_no_request_of_the_platform_widens_a_jail(hub: RunningHub, workspace: str, request_: dict[str, object]) -> None:
    line = json.dumps(request_).replace("W", workspace).encode()
    assert say(hub.settings.jailer_socket, line) == b"", "closed without a word"
    poll = json.dumps({"verb": "poll", "workspace": workspace}).encode()
    assert json.loads(say(hub.settings.jailer_socket, poll)) == {"ok": True, "result": None}, "the control"


@pytest.mark.attack(
    what="another account's workspace",
    route="the jailer's platform socket", layer="jailer",
    control="its own account's answers through the hub",
)  # fmt: skip
def test_the_jailer_starts_nobody_elses_workspace(hub: RunningHub, workspace: str) -> None:
    line = json.dumps({"verb": "start", "workspace": workspace, "account": "acc_bob", "variables": {}}).encode()
    assert json.loads(say(hub.settings.jailer_socket, line))["error"]["code"] == "not_allowed"


CRAFTED_INSIDE = (
    {"verb": "start", "kernel": "K", "key": "k" * 32, "ports": {}, "mounts": ["/"]},
    {"verb": "start", "kernel": "../../w-other/ipc", "key": "k" * 32, "ports": {}},
    {"verb": "stop", "kernel": "K", "workspace": "w-other"},
    {"verb": "poll", "kernel": "K\n"},
    {"verb": "read", "workspace": "w-other", "name": "a.ipynb"},
    {"verb": "destroy", "workspace": "w-other"},
    {"verb": "measure", "workspace": "w-other"},
)


@pytest.mark.attack(
    what="mounts, another workspace, the platform's verbs in a request",
    route="code beside the server, the jailer's inner socket", layer="jailer",
    control="a request about a kernel of its own is answered",
)  # fmt: skip
def test_no_request_of_a_server_reaches_beyond_its_kernels(hub: RunningHub, workspace: str) -> None:
    kernel = str(uuid.uuid4())
    lines = [json.dumps(one).replace("K", kernel).encode() for one in CRAFTED_INSIDE]
    own = json.dumps({"verb": "poll", "kernel": kernel}).encode()
    body = f"""
import socket
def say(line):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    s.connect('/gate/jailer/jailer.sock')
    s.sendall(line + b'\\n')
    return s.makefile('rb').readline()
return [len(say(line)) for line in {lines!r}], b'"ok":true' in say({own!r})
"""
    assert beside_the_server(hub, workspace, body) == ["reached", f"({[0] * len(lines)}, True)"]


@contextlib.contextmanager
def opened_wide(path: Path) -> Iterator[None]:
    """The mistake of an administrator: a socket that everybody can reach."""
    mode = path.stat().st_mode
    path.chmod(0o666)
    path.parent.chmod(0o711)
    try:
        yield
    finally:
        path.chmod(mode)


@pytest.mark.parametrize("which", ["platform", "workspace"])
@pytest.mark.attack(
    what="the jailer's sockets, opened wide by mistake",
    route="another user of the host", layer="jailer",
    control="root is answered",
)  # fmt: skip
def test_the_jailer_answers_no_other_user(hub: RunningHub, workspace: str, which: str) -> None:
    inner = runtime_paths(hub.settings.runtime, workspace).jailer
    path = hub.settings.jailer_socket if which == "platform" else inner
    asked: dict[str, object] = {"verb": "poll", "kernel": str(uuid.uuid4())}
    asked = {"verb": "poll", "workspace": workspace} if which == "platform" else asked
    code = (
        "import os, socket, sys\nos.setgid(65534); os.setuid(int(sys.argv[1]))\ns = socket.socket(socket.AF_UNIX)\n"
        f"s.connect({str(path)!r})\n"
        f"try:\n    s.sendall({json.dumps(asked).encode()!r} + b'\\n')\n    print(len(s.makefile('rb').readline()))\n"
        "except OSError: print('closed')"
    )

    def ask(uid: int) -> str:
        done = subprocess.run([sys.executable, "-c", code, str(uid)], capture_output=True, text=True, check=False)
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1]

    assert "Permission denied" in ask(65534), "its mode keeps others out"
    with opened_wide(path):
        assert ask(65534) in {"0", "closed"}, "its peer's user does, too"
        assert int(ask(0)) > 0, "the control: root is answered"

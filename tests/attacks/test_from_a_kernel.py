"""What code in a notebook tries to reach. The control: the same code outside the jail, where it must succeed."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
from attack_kit import apart, beside_the_server, inside, outside
from workspace_kit import RunningHub

from sandbox.workspaces.hosting import LocalHost
from sandbox.workspaces.model import Workspace
from shuzha.core.errors import NotFound

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]


@contextlib.contextmanager
def service_on_the_host(host: str = "127.0.0.1") -> Iterator[int]:
    """A web server on the host's loopback, such as a database or a metadata service would be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    class Server(http.server.ThreadingHTTPServer):
        address_family = family

    server = Server((host, 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.attack(
    what="a service on the host's loopback, IPv4 and IPv6",
    route="code in a kernel", layer="network namespace",
    control="the same code on the host",
)  # fmt: skip
def test_network_reaches_no_service_of_the_host(hub: RunningHub, workspace: str, host: str) -> None:
    with service_on_the_host(host) as port:
        body = f"import socket\nreturn socket.create_connection(({host!r}, {port}), timeout=3).getpeername()"
        assert inside(hub, workspace, body)[0] == "refused"
        assert outside(body)[0] == "reached"


@pytest.mark.attack(
    what="portal, hub and gate by TCP",
    route="code in a kernel", layer="network namespace",
    control="the same code on the host",
)  # fmt: skip
def test_network_reaches_no_portal_hub_or_gate_by_tcp(hub: RunningHub, workspace: str) -> None:
    body = f"import socket\nreturn socket.create_connection(('127.0.0.1', {hub.settings.bind_port}), timeout=3)"
    assert inside(hub, workspace, body)[0] == "refused"
    assert outside(body)[0] == "reached"


@pytest.mark.parametrize(
    "body",
    [
        "import socket\nreturn socket.create_connection(('192.0.2.1', 80), timeout=3)",
        "import socket\nreturn socket.create_connection(('169.254.169.254', 80), timeout=3)",
        "import socket\nreturn socket.create_connection(('2001:db8::1', 80), timeout=3)",
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nreturn s.sendto(b'x', ('192.0.2.1', 53))",
        "import socket\nreturn socket.getaddrinfo('example.com', 80)",
        "import subprocess\nreturn subprocess.run(['bash', '-c', 'exec 3<>/dev/tcp/192.0.2.1/80'], check=True)",
        "import urllib.request\nreturn urllib.request.urlopen('http://192.0.2.1/', timeout=3)",
    ],
    ids=["tcp", "metadata", "ipv6", "udp", "dns", "subprocess", "http"],
)
@pytest.mark.attack(
    what="TCP, UDP, names, metadata, a program, HTTP",
    route="code in a kernel", layer="network namespace",
    control="each is answered in the small world (test_in_a_small_world.py)",
)  # fmt: skip
def test_network_reaches_nothing_beyond(hub: RunningHub, workspace: str, body: str) -> None:
    assert inside(hub, workspace, body)[0] == "refused"


@pytest.mark.attack(
    what="an interface of the host",
    route="code in a kernel", layer="network namespace",
    control="a jail that shares its host's network lists the addresses (test_in_a_small_world.py)",
)  # fmt: skip
def test_network_has_no_interface_but_loopback(hub: RunningHub, workspace: str) -> None:
    body = "import socket\nreturn sorted(name for _, name in socket.if_nameindex())"
    assert inside(hub, workspace, body) == ["reached", "['lo']"]


@pytest.mark.parametrize(
    "body",
    [
        "import socket\nreturn socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "import socket\nreturn socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
    ],
    ids=["packet", "icmp"],
)
@pytest.mark.attack(
    what="packet and raw ICMP sockets",
    route="code in a kernel", layer="seccomp",
    control="the same code on the host",
)  # fmt: skip
def test_network_gives_no_raw_socket(hub: RunningHub, workspace: str, body: str) -> None:
    assert inside(hub, workspace, body)[0] == "refused"
    assert outside(body)[0] == "reached"


def places(hub: RunningHub) -> dict[str, Path]:
    """Files that a workspace must not see, and that are really there."""
    raw = hub.folder / "raw" / "social_insurance"
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "part-0.parquet").write_bytes(b"raw data")
    other = next(name for name in hub.workspaces if name != hub.workspaces[-1])
    return {
        "raw": raw / "part-0.parquet",
        "other home": hub.settings.homes / other / "notebooks",
        "other release": hub.settings.releases / other / "social_insurance",
        "hub database": hub.settings.state / "hub.db",
        "cookie secret": hub.settings.state / "cookie_secret",
        "service token": hub.folder / "token",
        "controls": hub.settings.controls,
        "server socket": hub.settings.runtime / hub.workspaces[-1] / "in" / "in.sock",
        "gate socket": hub.settings.gate_socket,
        "shadow": Path("/etc/shadow"),
        "root": Path("/root"),
        "code": Path(__file__),
    }


@pytest.mark.parametrize(
    "place",
    [
        "raw", "other home", "other release", "hub database", "cookie secret", "service token", "controls",
        "server socket", "gate socket", "shadow", "root", "code",
    ],
)  # fmt: skip
@pytest.mark.attack(
    what="raw zone, another's home and release, hub's database, secrets, controls, sockets, /etc/shadow, code",
    route="code in a kernel", layer="mount namespace",
    control="the same code on the host",
)  # fmt: skip
def test_files_outside_the_grant_do_not_exist(hub: RunningHub, workspace: str, place: str) -> None:
    path = places(hub)[place]
    body = f"import os\nreturn os.stat({str(path)!r}).st_size"
    assert inside(hub, workspace, body) == ["refused", "FileNotFoundError", 2]
    assert outside(body)[0] == "reached"


@pytest.mark.parametrize(
    "folder", ["/", "/usr", "/opt/env", "/data", "/data/social_insurance", "/etc/jupyter", "/gate/platform", "/gate"]
)
@pytest.mark.attack(
    what="writing to data, environment, programs, settings",
    route="code in a kernel", layer="read-only mount",
    control="the same write in the home",
)  # fmt: skip
def test_files_given_read_only_take_no_write(hub: RunningHub, workspace: str, folder: str) -> None:
    body = f"open({folder!r} + '/planted', 'w').write('x')\nreturn True"
    assert inside(hub, workspace, body) == ["refused", "OSError", 30]
    assert inside(hub, workspace, body.replace(repr(folder), "'/home/analyst'"))[0] == "reached"


@pytest.mark.attack(
    what="processes of others",
    route="code in a kernel", layer="process namespace",
    control="in a jail that shares the host's processes they are listed (test_with_one_layer_less.py)",
)  # fmt: skip
def test_processes_of_others_are_not_seen(hub: RunningHub, workspace: str) -> None:
    body = "import os\nreturn sorted(int(p) for p in os.listdir('/proc') if p.isdigit())"
    found = inside(hub, workspace, body)
    seen = json.loads(str(found[1]))
    assert 2 <= len(seen) <= 4, "bubblewrap, this kernel and its helpers: no server, no other kernel"
    assert str(os.getpid()) not in str(seen)


@pytest.mark.attack(
    what="the hub's token in variables and arguments",
    route="code in a kernel", layer="process namespace",
    control="the same search finds a planted one; the server's process has it (test_between_the_jails.py)",
)  # fmt: skip
def test_kernel_has_no_token_of_the_hub(hub: RunningHub, workspace: str) -> None:
    body = "import os\nreturn sorted(n for n in os.environ if 'TOKEN' in n or 'JUPYTERHUB' in n or 'SECRET' in n)"
    assert inside(hub, workspace, body) == ["reached", "[]"]
    planted = body.replace("\n", "\nos.environ['A_TOKEN'] = 'x'\n").replace("return", "try: return")
    assert inside(hub, workspace, f"{planted}\nfinally: del os.environ['A_TOKEN']") == ["reached", "['A_TOKEN']"]
    body = "return open('/proc/1/cmdline').read()"
    assert "token" not in str(inside(hub, workspace, body)[1]).lower()


@pytest.mark.attack(
    what="open files of the platform",
    route="code in a kernel", layer="jailer",
    control="one that it opens itself is found",
)  # fmt: skip
def test_kernel_inherits_no_file_of_the_platform(hub: RunningHub, workspace: str) -> None:
    body = "import os\nlinks = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if n.isdigit()"
    body += " and os.path.exists(f'/proc/self/fd/{n}')]\nreturn [x for x in links if 'memfd' in x or '/sz-' in x]"
    assert inside(hub, workspace, body) == ["reached", "[]"]
    opened = body.replace("import os\n", "import os\nheld = os.memfd_create('planted')\n").replace("return", "found =")
    found = inside(hub, workspace, f"{opened}\nos.close(held)\nreturn found")
    assert "memfd:planted" in str(found[1]), "the control"


@pytest.mark.parametrize(
    "body",
    [
        "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0",
        "import ctypes\nassert ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
        (
            "import ctypes, os\nchild = ctypes.CDLL(None).syscall(56, 0x10000000 | 17, 0, 0, 0, 0)\n"
            "if child == 0: os._exit(0)\nassert child > 0"
        ),
        "import os\nos.setuid(0)\nreturn os.getuid()",
        "import os\nos.mknod('/tmp/disk', 0o60600, os.makedev(254, 0))",
        "import os\nos.chroot('/tmp')",
        "import ctypes\na = (ctypes.c_uint32 * 5)(2, 4, 4, 1, 0)\nassert ctypes.CDLL(None).syscall(321, 0, a, 20) >= 0",
        "import ctypes\nassert ctypes.CDLL(None).syscall(425, 4, bytes(120)) >= 0",
        "import subprocess\nsubprocess.run(['su', '-c', 'true'], check=True, stdin=subprocess.DEVNULL)",
    ],
    ids=["unshare", "mount", "clone", "setuid", "mknod", "chroot", "bpf", "io_uring", "su"],
)
@pytest.mark.attack(
    what="namespaces, mounts, setuid, devices, chroot, bpf, io_uring, su",
    route="code in a kernel", layer="seccomp",
    control="the same code by root with mounts of its own",
)  # fmt: skip
def test_kernel_gains_no_right_of_the_host(hub: RunningHub, workspace: str, body: str) -> None:
    assert inside(hub, workspace, body)[0] == "refused"
    assert apart(body)[0] == "reached", "the control"


ASK_HUB = """
import http.client, os, socket
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect('/gate/out/out.sock')
connection = Unix('hub')
connection.request({method!r}, {path!r}, headers={{'Authorization': 'token {token}'}})
answer = connection.getresponse()
assert answer.status == 200, answer.status
return answer.read()[:80]
"""


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/hub/api/users"),
        ("GET", "/hub/api/users/acc_bob"),
        ("GET", "/hub/api/info"),
        ("POST", "/hub/api/users/acc_alice/servers/another"),
        ("POST", "/hub/api/users/acc_bob/activity"),
        ("GET", "/hub/api/../api/users"),
        ("GET", "/hub/api//users"),
        ("GET", "/hub/home"),
        ("POST", "/hub/api/shutdown"),
    ],
)
@pytest.mark.attack(
    what="the hub's API beyond four routes, with the platform's own token",
    route="code beside the server", layer="out gate",
    control="the hub itself answers the same token",
)  # fmt: skip
@pytest.mark.attack(
    what="the hub's API",
    route="code in a kernel", layer="mount namespace",
    control="code beside the server reaches the socket",
)  # fmt: skip
def test_hub_answers_its_own_server_only(hub: RunningHub, workspace: str, method: str, path: str) -> None:
    # Even with the platform's own token, which no notebook and no server has.
    body = ASK_HUB.format(method=method, path=path, token=hub.token)
    assert inside(hub, workspace, body) == ["refused", "FileNotFoundError", 2], "a kernel has no way to the hub"
    assert beside_the_server(hub, workspace, body)[0] == "refused"
    if (method, path) in {("GET", "/hub/api/users"), ("GET", "/hub/api/users/acc_bob"), ("GET", "/hub/home")}:
        transport = httpx.HTTPTransport(uds=str(hub.settings.hub_socket))
        with httpx.Client(transport=transport, headers=hub.headers(), base_url="http://hub") as platform:
            assert platform.get(path).status_code in {200, 302}, "the control: the hub itself answers the token"


@pytest.mark.works
def test_hub_answers_the_routes_that_a_server_needs(hub: RunningHub, workspace: str) -> None:
    body = ASK_HUB.format(method="GET", path="/hub/api/", token=hub.token)
    assert beside_the_server(hub, workspace, body)[0] == "reached"


@pytest.mark.attack(
    what="another service in place of the server's socket",
    route="code in a kernel and beside the server", layer="read-only mount",
    control="the same link in a writable folder is made (test_between_the_jails.py)",
)  # fmt: skip
def test_link_in_place_of_a_socket_moves_no_route(hub: RunningHub, workspace: str) -> None:
    """The server's socket is held by descriptor: nothing inside can put another service in its place."""
    body = "import os\nreturn [p for d, _, f in os.walk('/') for p in f if p == 'in.sock']"
    assert inside(hub, workspace, body) == ["reached", "[]"]
    assert beside_the_server(hub, workspace, body) == ["reached", "[]"]
    body = "import os\nos.symlink('/etc/passwd', '/gate/{folder}/x.sock')"
    assert inside(hub, workspace, body.format(folder="platform")) == ["refused", "OSError", 30]
    assert beside_the_server(hub, workspace, body.format(folder="out")) == ["refused", "OSError", 30]


@pytest.mark.attack(
    what="modules planted in the home, for the server's next start",
    route="code in a kernel", layer="mount namespace",
    control="a program of the kernel, which has the home, imports them",
)  # fmt: skip
def test_user_files_are_not_imported_by_the_server(hub: RunningHub, workspace: str) -> None:
    """A module planted in the home would run in the server at its next start, with the server's token."""
    planted = "import os\nopen('/home/analyst/tornado.py', 'w').write('raise SystemExit(9)')"
    planted += "\nopen('/home/analyst/sqlite3.py', 'w').write('raise SystemExit(9)')"
    hub.run_code("acc_alice", workspace, planted)
    runs = (
        "import subprocess\nreturn subprocess.run(['python', '-c', 'import sqlite3'], cwd='/home/analyst').returncode"
    )
    assert inside(hub, workspace, runs) == ["reached", "9"], "the control: where the home is, it is imported"
    with hub.client() as client:
        client.stop_server("acc_alice", workspace)
        client.wait_stopped("acc_alice", workspace)
        client.start_server("acc_alice", workspace)
        assert client.wait_ready("acc_alice", workspace).ready
    hub.run_code("acc_alice", workspace, "import os\nos.remove('tornado.py'); os.remove('sqlite3.py')")


@pytest.mark.attack(
    what="another folder in place of the notebooks",
    route="code in a kernel", layer="mount namespace",
    control="a plain folder is moved",
)  # fmt: skip
@pytest.mark.attack(
    what="a link in place of the notebooks",
    route="a submission", layer="outbox reader",
    control="a notebook of its own is read",
)  # fmt: skip
def test_a_link_in_place_of_the_notebooks_gives_no_file_of_the_host(
    hub: RunningHub, workspace: str, tmp_path: Path
) -> None:
    host = LocalHost(hub.settings, lambda: hub.token)
    own = cast("Workspace", SimpleNamespace(id="wsp_1", name=workspace))
    secret = tmp_path / "secret.ipynb"
    secret.write_text('{"cells": []}')
    secret.chmod(0o600)
    move = "import os\nos.rename('/home/analyst/{name}', '/home/analyst/aside')"
    assert inside(hub, workspace, move.format(name="notebooks")) == ["refused", "OSError", 16], "it is a mount"
    inside(hub, workspace, "import os\nos.mkdir('/home/analyst/plain')")
    assert inside(hub, workspace, move.format(name="plain"))[0] == "reached", "the control: a folder that is none"
    assert host.read_notebook(own, "first-look.ipynb"), "the control: a notebook of its own"
    notebooks = hub.settings.homes / workspace / "notebooks"
    notebooks.rename(notebooks.with_name("aside2"))
    notebooks.symlink_to(tmp_path)
    try:
        with pytest.raises(NotFound):
            host.read_notebook(own, "secret.ipynb")
    finally:
        notebooks.unlink()
        notebooks.with_name("aside2").rename(notebooks)
    assert host.read_notebook(own, "first-look.ipynb")

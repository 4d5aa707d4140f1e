"""What a notebook of the journey's own workspace can reach, by the analyst's real sign-in; each with its control.

All tries run in one kernel. A control is the same code on the host, where it must succeed: so a refusal is the jail's.
"""

from __future__ import annotations

import contextlib
import errno
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from journey_kit import ROOT, Walked

from sandbox.workspaces.jails.landlock import landlock_abi

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]

HELD_BY_LANDLOCK = landlock_abi() >= 4
TCP_REFUSED = errno.EACCES if HELD_BY_LANDLOCK else errno.ENETUNREACH
LOOPBACK_REFUSED = errno.EACCES if HELD_BY_LANDLOCK else errno.ECONNREFUSED

RUN = """
import json
def attempt(body):
    source = "def tries():\\n" + "\\n".join("    " + line for line in body.strip().splitlines())
    space = {}
    try:
        exec(source, space)
        return ["reached", space["tries"]()]
    except BaseException as error:
        return ["refused", type(error).__name__, getattr(error, "errno", None)]
print("OUTCOMES" + json.dumps({name: attempt(body) for name, body in json.loads(TRIES).items()}, default=str))
"""
CONNECT = "import socket\nreturn socket.create_connection(({!r}, {}), timeout=5).getpeername()"
SEND = "import socket\ns = socket.socket({0}, socket.SOCK_DGRAM)\nreturn s.sendto(b'x', ({1!r}, {2}))"
STAT = "import os\nreturn os.stat({!r}).st_size"
BEYOND = {"tcp": "1.1.1.1", "metadata": "169.254.169.254", "private": "10.0.0.1", "ipv6": "2606:4700:4700::1111"}


@dataclass
class Findings:
    """What became of every try inside, and of its control outside."""

    inside: dict[str, list[Any]] = field(default_factory=dict)
    outside: dict[str, list[Any]] = field(default_factory=dict)


def code(tries: dict[str, str]) -> str:
    return f"TRIES = {json.dumps(tries)!r}\n{RUN}"


def outcomes(text: str) -> dict[str, list[Any]]:
    line = next(line for line in text.splitlines() if line.startswith("OUTCOMES"))
    found: dict[str, list[Any]] = json.loads(line.removeprefix("OUTCOMES"))
    return found


@contextlib.contextmanager
def service_on_the_host(host: str) -> Iterator[int]:
    """A web server on the host's loopback: what a database or an administration page would be."""

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    with Server((host, 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def files(walked: Walked) -> dict[str, Path]:
    """Return files and folders that no workspace may see, and that are really there."""
    settings = walked.settings
    # Somebody else's home: a folder beside the analyst's own, as another workspace's would be.
    other = settings.folder("homes") / "w-somebody-else" / "notebooks"
    other.mkdir(parents=True, exist_ok=True)
    found = {
        "data folder": settings.data,
        "records": settings.folder("records") / "records.db",
        "other home": other,
        "homes": settings.folder("homes"),
        "releases": settings.folder("releases"),
        "settings file": settings.folder("run") / "settings.toml",
        "usage log": settings.folder("logs") / "usage",
        "audit log": settings.folder("logs") / "audit",
        "city": walked.city.path("social_insurance"),
        "code": ROOT / "shuzha",
        "shadow": Path("/etc/shadow"),
        "root": Path("/root"),
    }
    for name, folder in (("raw zone", "raw"), ("key", "keys"), ("vault", "vault"), ("index", "products")):
        found[name] = next(path for path in sorted(settings.folder(folder).rglob("*")) if path.is_file())
    return found


def tries_of(walked: Walked, ports: dict[str, int], abstract: str) -> dict[str, str]:
    settings = walked.settings
    bind = settings.bind
    tries = {f"file {name}": STAT.format(str(path)) for name, path in files(walked).items()}
    for name in ("portal", "api", "sandbox"):
        tries[f"port {name}"] = CONNECT.format(bind, getattr(settings, f"{name}_port"))
    tries |= {f"host {host}": CONNECT.format(host, port) for host, port in ports.items()}
    tries["abstract socket"] = (
        f"import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect({abstract!r})\nreturn 'connected'"
    )
    tries["raw packet"] = "import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)\nreturn True"
    tries["raw icmp"] = (
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)\nreturn True"
    )
    tries["resolver"] = STAT.format("/etc/resolv.conf")
    for unit in ("writer", "jailer", "portal", "worker", "api", "hub"):
        pid = walked.running.pid(unit)
        tries[f"process {unit}"] = f"return len(open('/proc/{pid}/cmdline', 'rb').read())"
        tries[f"signal {unit}"] = f"import os\nos.kill({pid}, 0)\nreturn True"
    return tries


INSIDE_ONLY = {
    **{f"beyond {name}": CONNECT.format(host, 443) for name, host in BEYOND.items()},
    "beyond udp": SEND.format("socket.AF_INET", "1.1.1.1", 53),
    "beyond udp6": SEND.format("socket.AF_INET6", "2606:4700:4700::1111", 53),
    "beyond dns": "import socket\nreturn socket.getaddrinfo('example.com', 443)",
    "interfaces": "import socket\nreturn sorted(name for _, name in socket.if_nameindex())",
    "processes": "import os\nreturn sorted(int(p) for p in os.listdir('/proc') if p.isdigit())",
    "environment": "import os\nreturn dict(os.environ)",
    "arguments": "import os\nreturn [open(f'/proc/{p}/cmdline').read() for p in os.listdir('/proc') if p.isdigit()]",
    "root folder": "import os\nreturn sorted(os.listdir('/'))",
    "home folders": "import os\nreturn sorted(os.listdir('/home'))",
    "data folders": "import os\nreturn sorted(os.listdir('/data'))",
    "release write": "open('/data/social_insurance/planted', 'w').write('x')\nreturn True",
    "release change": "import glob\nopen(glob.glob('/data/social_insurance/*.parquet')[0], 'ab').write(b'x')",
    "release read": "import polars\nreturn polars.scan_parquet('/data/social_insurance/*.parquet')"
    ".select(polars.len()).collect().item()",
    "home write": "open('/home/analyst/kept', 'w').write('x')\nreturn True",
}


@pytest.fixture(scope="module")
def found(walked: Walked) -> Findings:
    """Every try, in one kernel of the analyst's workspace; and every control, on the host."""
    walked.workspace()
    abstract = f"\0shuzha-journey-{os.getpid()}"
    with (
        service_on_the_host("127.0.0.1") as four, service_on_the_host("::1") as six,
        socket.socket(socket.AF_UNIX) as listener,
    ):  # fmt: skip
        listener.bind(abstract)
        listener.listen()
        tries = tries_of(walked, {"127.0.0.1": four, "::1": six}, abstract)
        inside = outcomes(walked.run_inside(code({**tries, **INSIDE_ONLY})))
        controls = {**tries, "udp": SEND.format("socket.AF_INET", "127.0.0.1", four)}
        done = subprocess.run(
            [sys.executable, "-c", code(controls)], capture_output=True, text=True, timeout=60, check=True
        )
    return Findings(inside, outcomes(done.stdout))


@pytest.mark.parametrize("name", ["tcp", "metadata", "private", "ipv6", "udp", "udp6"])
def test_network_is_unreachable_before_a_packet_leaves(found: Findings, name: str) -> None:
    refused, _, number = found.inside[f"beyond {name}"]
    assert (refused, number) == ("refused", errno.ENETUNREACH if name.startswith("udp") else TCP_REFUSED)
    assert found.outside["host 127.0.0.1"][0] == found.outside["host ::1"][0] == found.outside["udp"][0] == "reached"


def test_network_resolves_no_name(found: Findings) -> None:
    assert found.inside["beyond dns"][:2] == ["refused", "gaierror"]
    assert found.inside["resolver"] == ["refused", "FileNotFoundError", errno.ENOENT]
    assert found.outside["resolver"][0] == "reached"


@pytest.mark.parametrize(
    "name", ["port portal", "port api", "port sandbox", "host 127.0.0.1", "host ::1", "abstract socket"]
)
def test_network_reaches_no_port_of_the_host(found: Findings, name: str) -> None:
    abstract = name == "abstract socket"
    assert found.inside[name][0] == "refused"
    assert found.inside[name][2] == (errno.ECONNREFUSED if abstract else LOOPBACK_REFUSED)
    assert found.outside[name][0] == "reached"


@pytest.mark.parametrize("name", ["raw packet", "raw icmp"])
def test_network_gives_no_raw_socket(found: Findings, name: str) -> None:
    assert found.inside[name] == ["refused", "PermissionError", errno.EPERM]
    assert found.outside[name][0] == "reached"


def test_network_has_no_interface_but_its_own_loopback(found: Findings) -> None:
    assert found.inside["interfaces"] == ["reached", ["lo"]]


@pytest.mark.parametrize(
    "name",
    [
        "data folder", "raw zone", "records", "key", "vault", "index", "usage log", "audit log", "settings file",
        "city", "other home", "homes", "releases", "code", "shadow", "root",
    ],
)  # fmt: skip
def test_files_of_the_platform_do_not_exist_inside(found: Findings, name: str) -> None:
    assert found.inside[f"file {name}"] == ["refused", "FileNotFoundError", errno.ENOENT]
    assert found.outside[f"file {name}"][0] == "reached"


def test_folders_inside_are_the_system_the_release_and_one_home(found: Findings, walked: Walked) -> None:
    assert found.inside["home folders"] == ["reached", ["analyst"]]
    assert found.inside["data folders"] == ["reached", ["own", "social_insurance"]]
    root = set(found.inside["root folder"][1])
    assert root <= {
        "bin", "data", "dev", "etc", "gate", "home", "job", "lib", "lib64", "opt", "proc", "sbin", "tmp", "usr"
    }  # fmt: skip


@pytest.mark.parametrize("unit", ["writer", "jailer", "portal", "worker", "api", "hub"])
def test_processes_of_the_platform_are_not_there(found: Findings, unit: str) -> None:
    assert found.inside[f"process {unit}"] == ["refused", "FileNotFoundError", errno.ENOENT]
    assert found.inside[f"signal {unit}"] == ["refused", "ProcessLookupError", errno.ESRCH]
    assert found.outside[f"process {unit}"][0] == found.outside[f"signal {unit}"][0] == "reached"


def test_processes_seen_are_the_workspaces_own(found: Findings) -> None:
    seen = found.inside["processes"][1]
    assert 2 <= len(seen) <= 4, "bubblewrap, this kernel and its helpers: no server, no other kernel"


def test_environment_and_arguments_hold_no_secret_of_the_platform(found: Findings, walked: Walked) -> None:
    platform, inside = walked.platform, json.dumps([found.inside["environment"], found.inside["arguments"]])
    secrets = {
        "hub token": platform.hub_token, "hub secret": platform.hub_secret, "key": walked.journey.secret,
        "password": walked.password, "data folder": str(walked.settings.data),
    }  # fmt: skip
    assert [name for name, secret in secrets.items() if secret in inside] == []
    names = found.inside["environment"][1]
    assert [name for name in names if "TOKEN" in name or "SECRET" in name or "JUPYTERHUB" in name] == []
    assert "SHUZHA_SETTINGS" not in names
    # The control: the hub's own process has it, so it is the jail that leaves it out.
    assert b"SHUZHA_SETTINGS=" in Path(f"/proc/{walked.running.pid('hub')}/environ").read_bytes()


def test_release_is_read_but_never_written(found: Findings, walked: Walked) -> None:
    release = walked.person("operator").get(f"/releases/{walked.made['release']}")
    assert found.inside["release read"] == ["reached", release["rows"]]
    assert found.inside["release write"] == ["refused", "OSError", errno.EROFS]
    # The file's own mode refuses before the read-only mount does.
    assert found.inside["release change"] == ["refused", "PermissionError", errno.EACCES]
    assert found.inside["home write"] == ["reached", True]

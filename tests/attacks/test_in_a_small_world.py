"""A jail in a network full of services that would answer: metadata, names, packages. Its own namespace has none."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from attack_kit import batch, outcomes
from small_world import OUTWARD
from workspace_kit import ROOT, RunningHub

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]
Said = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def said() -> Said:
    """What came of each attempt in the small world, as jails are built and with one layer removed."""
    script = ROOT / "tests" / "small_world.py"
    done = subprocess.run(
        ["unshare", "--net", sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(part for part in (str(ROOT), *sys.path) if part)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: Said = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("what", OUTWARD)
@pytest.mark.attack(
    what="TCP over IPv4 and IPv6, UDP both ways, names, the metadata address, the host's loopback, its abstract "
    "sockets, its lists of listeners and addresses, a package posted to an index, a package fetched from one",
    route="code and programs in a jail as every jail is built", layer="network namespace",
    control="the same jail in the network of its host (`--share-net`), where each is answered",
)  # fmt: skip
def test_network_of_the_host_is_not_reached(said: Said, what: str) -> None:
    assert said["held"][what].startswith("refused")
    assert said["free"][what] == "reached", "the control"


@pytest.mark.attack(
    what="ICMP echo", route="code in a jail", layer="seccomp",
    control="the same jail in its host's network without the filter: the answer comes",
)  # fmt: skip
def test_filter_refuses_pings(said: Said) -> None:
    assert said["ping with network"] == {"ICMP echo": "refused PermissionError 1"}
    assert said["ping free"] == {"ICMP echo": "reached"}, "the control"


@pytest.mark.attack(
    what="ICMP echo", route="code in a jail without the filter", layer="network namespace",
    control="the same jail in its host's network: the answer comes",
)  # fmt: skip
def test_network_refuses_pings_too(said: Said) -> None:
    assert said["ping without filter"]["ICMP echo"].startswith("refused")
    assert said["ping free"] == {"ICMP echo": "reached"}, "the control"


IN_A_PROGRAM = (
    "import subprocess, sys\nprint(subprocess.run([sys.executable, '-I', '-c', {code!r}], text=True, stdout=-1).stdout)"
)
ROUTES = ("a kernel", "a program of a kernel", "a second kernel", "the server")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.attack(
    what="every one of these at once", route="a kernel over the gate's websocket; a program that it starts; a second "
    "kernel; code beside the server", layer="network namespace",
    control="the same code in the small world, above; the clean room's kernel is in test_on_names_and_races.py",
)  # fmt: skip
def test_no_process_of_a_workspace_reaches_a_network(hub: RunningHub, workspace: str, route: str) -> None:
    code = batch(OUTWARD)
    if route == "the server":
        text = hub.run_in_server_jail(workspace, code)
    else:
        code = IN_A_PROGRAM.format(code=code) if route == "a program of a kernel" else code
        text = hub.run_code("acc_alice", workspace, code, fresh=route == "a second kernel").text
    found = outcomes(text)
    assert found.keys() == OUTWARD.keys()
    assert {what: how for what, how in found.items() if not how.startswith("refused")} == {}

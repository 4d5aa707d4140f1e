"""A workspace that takes too much suffers itself; its neighbours and the hub go on. Everything is capped."""

from __future__ import annotations

import os
import time

import pytest
from workspace_kit import RunningHub, wait_until

from sandbox.workspaces.host.limits import CgroupHost, Limits
from sandbox.workspaces.jails.warden import kernel_group_name

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]


@pytest.fixture(scope="module")
def small(hub: RunningHub) -> str:
    limits = Limits(
        memory_bytes=400 * 1024**2, processes=64, cpu_percent=100, scratch_bytes=16 * 1024**2,
        home_bytes=32 * 1024**2, home_files=500,
    )  # fmt: skip
    return hub.open_workspace("acc_frank", limits=limits)


@pytest.mark.attack(
    what="a fork bomb",
    route="code in a kernel", layer="control group",
    control="a larger limit lets the same forks through (test_with_one_layer_less.py)",
)  # fmt: skip
def test_fork_bomb_stops_at_its_limit(hub: RunningHub, small: str) -> None:
    code = (
        "import os, signal\nchildren = []\ntry:\n"
        "    for _ in range(300):\n"
        "        pid = os.fork()\n"
        "        if pid == 0:\n            signal.pause()\n            os._exit(0)\n"
        "        children.append(pid)\n"
        "except OSError as error:\n    print('stopped', error.errno, len(children))\n"
        "for pid in children: os.kill(pid, 9); os.waitpid(pid, 0)\n"
    )
    text = hub.run_code("acc_frank", small, code).text
    assert text.startswith("stopped 11"), text
    assert int(text.split()[2]) < 64


@pytest.mark.attack(
    what="more memory than granted",
    route="code in a kernel", layer="control group",
    control="a larger limit lets the same array be (test_with_one_layer_less.py)",
)  # fmt: skip
def test_memory_hog_ends_alone(hub: RunningHub, workspace: str, small: str) -> None:
    body = "import numpy\nnumpy.ones(400 * 1024**2 // 8 * 2)"
    # The kernel is killed by its group and the server starts another: the reply never comes.
    with pytest.raises(TimeoutError):
        hub.run_code("acc_frank", small, body, 6)
    assert hub.run_code("acc_alice", workspace, "print(1)").text.strip() == "1"
    assert hub.run_code("acc_frank", small, "print(2)").text.strip() == "2"


@pytest.mark.attack(
    what="filling the home",
    route="code in a kernel", layer="disk image",
    control="a neighbour writes on; after the fill is removed there is room",
)  # fmt: skip
def test_home_is_capped_and_each_limit_that_was_hit_is_told(hub: RunningHub, workspace: str, small: str) -> None:
    home = hub.settings.homes / small
    assert home.is_mount(), "a fill would hit the host's own disk"
    before = hub.jailer().account(small)
    code = (
        "n = 0\ntry:\n    with open('fill', 'wb') as f:\n"
        "        for _ in range(64):\n            n += f.write(bytes(1024**2)); f.flush()\n"
        "except OSError as error:\n    print('full', error.errno, n // 1024**2)\n"
    )
    text = hub.run_code("acc_frank", small, code).text
    assert text.startswith("full 28"), text
    assert int(text.split()[2]) < 32
    told = hub.jailer().account(small)
    assert told["disk"]["is_full"]
    assert told["disk"]["capped"]
    assert told["account"]["hits"]["disk"] == before["account"]["hits"]["disk"] + 1
    # The fork bomb and the memory hog above were told, too.
    assert told["account"]["hits"]["processes"] > 0
    assert told["account"]["hits"]["memory"] > 0
    assert told["account"]["cpu_nanoseconds"] > before["account"]["cpu_nanoseconds"]
    assert hub.run_code("acc_alice", workspace, "open('mine', 'w').write('x')").error == ""
    hub.run_code("acc_frank", small, "import os; os.remove('fill')")
    assert not hub.jailer().account(small)["disk"]["is_full"]
    assert hub.jailer().account(workspace)["account"]["hits"] == {"memory": 0, "processes": 0, "disk": 0}


MANY = """
import os
os.makedirs('/home/analyst/many')
made = 0
try:
    for made in range(700):
        open(f'/home/analyst/many/{made}', 'w').close()
except OSError as error:
    print('full', error.errno)
else:
    print('made', made + 1)
import shutil
shutil.rmtree('/home/analyst/many')
"""


@pytest.mark.attack(
    what="very many files in the home", route="code in a kernel", layer="disk image",
    control="the same code in a workspace with a larger limit",
)  # fmt: skip
def test_files_of_a_home_are_capped_in_number(hub: RunningHub, workspace: str, small: str) -> None:
    assert hub.run_code("acc_frank", small, MANY).text == "full 28\n"
    assert hub.run_code("acc_alice", workspace, MANY).text == "made 700\n", "the control"


@pytest.mark.attack(
    what="filling /tmp",
    route="code in a kernel", layer="memory file system",
    control="a larger limit takes the same bytes (test_with_one_layer_less.py)",
)  # fmt: skip
def test_scratch_space_is_capped(hub: RunningHub, small: str) -> None:
    code = (
        "n = 0\ntry:\n    with open('/tmp/fill', 'wb') as f:\n"
        "        for _ in range(64):\n            n += f.write(bytes(1024**2)); f.flush()\n"
        "except OSError as error:\n    print('full', error.errno, n // 1024**2)\nimport os; os.remove('/tmp/fill')"
    )
    text = hub.run_code("acc_frank", small, code).text
    assert text.startswith("full 28"), text
    assert int(text.split()[2]) <= 16


@pytest.mark.attack(
    what="three busy processes on one granted processor",
    route="code in a kernel", layer="control group",
    control="with twice the quota more is used (test_with_one_layer_less.py)",
)  # fmt: skip
def test_processor_is_shared_by_quota(hub: RunningHub, small: str) -> None:
    group = CgroupHost.detect().group(kernel_group_name(hub.settings.runtime, small))
    code = (
        "import os, time\npids = []\nfor _ in range(3):\n    pid = os.fork()\n    if pid == 0:\n"
        "        end = time.monotonic() + 2\n        while time.monotonic() < end: pass\n        os._exit(0)\n"
        "    pids.append(pid)\nfor pid in pids: os.waitpid(pid, 0)"
    )
    before, begun = group.measure().cpu_nanoseconds, time.monotonic()
    hub.run_code("acc_frank", small, code)
    after, wall = group.measure().cpu_nanoseconds, time.monotonic() - begun
    assert before is not None
    assert after is not None
    assert (after - before) / 1e9 <= 1.3 * wall


@pytest.mark.attack(
    what="processes that ignore being asked to end",
    route="code in a kernel", layer="control group",
    control="they run until the stop",
)  # fmt: skip
def test_stop_ends_processes_that_ignore_being_asked(hub: RunningHub, small: str) -> None:
    code = (
        "import os, signal\nfor _ in range(20):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n        while True: signal.pause()\n"
    )
    hub.run_code("acc_frank", small, code)
    group = CgroupHost.detect().group(kernel_group_name(hub.settings.runtime, small))
    assert len(group.list_processes()) > 20
    with hub.client() as client:
        client.stop_server("acc_frank", small)
        client.wait_stopped("acc_frank", small)
    wait_until(lambda: not group.list_processes(), 5, "the end of every process")

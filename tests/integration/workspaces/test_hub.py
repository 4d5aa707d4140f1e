"""A workspace through a real hub and gate: open, use, refuse, suspend, survive."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import time
from pathlib import Path

import aiohttp
import httpx
import polars as pl
import pytest
from workspace_kit import PASSWORD, RunningHub, execute, request_message, wait_until

from sandbox.workspaces.gate.meter import read_usage
from sandbox.workspaces.host.limits import CgroupHost
from sandbox.workspaces.hub.client import HubRefused
from sandbox.workspaces.jails.warden import group_name

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]


def shown(hub: RunningHub, workspace: str) -> dict[str, int]:
    return {traffic: count.shown for _, _, traffic, count in read_usage(hub.settings.usage, workspace)}


def test_open_gives_a_kernel_that_reads_the_granted_release(hub: RunningHub, workspace: str) -> None:
    code = "import workbench, polars as pl\nprint(workbench.load('social_insurance').select(pl.len()).collect().item())"
    assert hub.run_code("acc_alice", workspace, code).text.strip() == "1000"


def test_an_own_file_is_inside_at_once_and_only_there(hub: RunningHub, workspace: str) -> None:
    look = "import os, workbench\nprint(os.listdir('/data/own'))\n"
    assert hub.run_code("acc_alice", workspace, look).text.strip() == "[]"
    buffer = io.BytesIO()
    pl.DataFrame({"district": ["a"], "branches": [3]}).write_parquet(buffer)
    hub.own_files.put(workspace, "branches", buffer.getvalue())
    inside = hub.run_code("acc_alice", workspace, look + "print(workbench.load('branches').collect().rows())")
    assert inside.text.split("\n")[:2] == ["['branches']", "[('a', 3)]"]
    file, writes = "/data/own/branches/data.parquet", ("open('{0}', 'ab')", "os.remove('{0}')", "os.mkdir('{0}x')")
    for write in writes:
        refused = hub.run_code("acc_alice", workspace, "import os\n" + write.format(file)).error
        assert "Read-only file system" in refused or "Permission denied" in refused
    other = hub.open_workspace("acc_bob")
    elsewhere = hub.run_code("acc_bob", other, look + "workbench.load('branches')")
    assert elsewhere.text.strip() == "[]"
    assert "granted: social_insurance" in elsewhere.error
    up = "print(os.path.exists('/data/own/../" + workspace + "'), os.listdir('/data'))"
    assert hub.run_code("acc_bob", other, "import os\n" + up).text.startswith("False")
    hub.own_files.remove(workspace, "branches")
    assert hub.run_code("acc_alice", workspace, look).text.strip() == "[]"


def test_gate_counts_what_a_kernel_shows(hub: RunningHub, workspace: str) -> None:
    before = shown(hub, workspace).get("kernelws", 0)
    hub.run_code("acc_alice", workspace, "print('x' * 100_000)")
    wait_until(lambda: shown(hub, workspace).get("kernelws", 0) - before > 100_000, 5, "the count")


def test_starter_notebooks_are_in_a_new_home_and_can_be_saved(hub: RunningHub, workspace: str) -> None:
    base = f"{hub.path('acc_alice', workspace)}/api/contents"
    with httpx.Client(headers=hub.headers()) as browser:
        listed = {one["name"] for one in browser.get(base).json()["content"]}
        assert {"first-look.ipynb", "insurance-coverage.ipynb"} <= listed
        notebook = browser.get(f"{base}/first-look.ipynb", params={"type": "notebook", "content": 1}).json()
        saved = browser.put(f"{base}/mine.ipynb", json={"type": "notebook", "content": notebook["content"]})
        assert saved.status_code == 201, saved.text


def test_person_signs_in_and_opens_the_page_of_jupyterlab(hub: RunningHub, workspace: str) -> None:
    with httpx.Client(base_url=hub.url, follow_redirects=True) as browser:
        login = browser.get("/hub/login")
        xsrf = re.search(r'name="_xsrf" value="([^"]+)"', login.text)
        assert xsrf is not None
        form = {"username": "acc_alice", "password": PASSWORD, "_xsrf": xsrf.group(1)}
        assert browser.post("/hub/login", data=form, headers={"Referer": f"{hub.url}/hub/login"}).status_code == 200
        page = browser.get(f"/user/acc_alice/{workspace}/lab")
        assert page.status_code == 200, page.text[:500]
        assert "jupyter-config-data" in page.text
        scripts = re.findall(r'src="([^"]+static/lab/[^"]+)"', page.text)
        assert scripts, page.text[:2000]
        assert browser.get(scripts[0]).status_code == 200
        # The gate writes its counts down four times a second: the page's own bytes must be in before they are compared.
        counted = page.num_bytes_downloaded
        before = wait_until(lambda: sum((found := shown(hub, workspace)).values()) >= counted and found, 5)
        assert browser.get(scripts[0]).status_code == 200
        assert shown(hub, workspace) == before, "the front end's own files cost no screen budget"


def test_another_person_gets_nothing_of_a_workspace(hub: RunningHub, workspace: str) -> None:
    with httpx.Client(base_url=hub.url, follow_redirects=True) as browser:
        xsrf = re.search(r'name="_xsrf" value="([^"]+)"', browser.get("/hub/login").text)
        form = {"username": "acc_mallory", "password": PASSWORD, "_xsrf": xsrf.group(1) if xsrf else ""}
        browser.post("/hub/login", data=form, headers={"Referer": f"{hub.url}/hub/login"})
        assert browser.get("/hub/home").status_code == 200
        for path in ("lab", "api/contents", "api/kernels"):
            assert browser.get(f"/user/acc_alice/{workspace}/{path}").status_code in {403, 404}


def test_start_refuses_a_workspace_that_the_platform_did_not_open(hub: RunningHub) -> None:
    with hub.client() as client:
        client.ensure_user("acc_mallory")
        with pytest.raises(HubRefused, match="no open workspace of this name"):
            client.start_server("acc_mallory", "w-unknown")


def test_start_refuses_somebody_elses_workspace(hub: RunningHub, workspace: str) -> None:
    with hub.client() as client:
        client.ensure_user("acc_mallory")
        with pytest.raises(HubRefused, match="no open workspace of this name"):
            client.start_server("acc_mallory", workspace)


def test_suspend_stops_every_byte_and_process_within_a_second(hub: RunningHub) -> None:
    name = hub.open_workspace("acc_bob")
    ordered, late = asyncio.run(_suspend_while_printing(hub, "acc_bob", name))
    assert late == [], "no byte passes a second after the order"
    with httpx.Client(headers={**hub.headers(), "Accept": "text/html"}) as browser:
        answer = browser.get(f"{hub.path('acc_bob', name)}/api/kernels")
    assert answer.status_code == 403
    assert "the authorization ended" in answer.text
    group = CgroupHost.detect().group(group_name(hub.settings.runtime, name))
    left = max(ordered + 1 - time.monotonic(), 0)
    wait_until(lambda: group.is_frozen() or not group.list_processes(), left, "the processes' rest")
    with hub.client() as client:
        client.stop_server("acc_bob", name)
        client.wait_stopped("acc_bob", name, 10)
        with pytest.raises(HubRefused, match="the authorization ended"):
            client.start_server("acc_bob", name)
    assert not group.list_processes()


async def _suspend_while_printing(hub: RunningHub, account: str, name: str) -> tuple[float, list[float]]:
    """Suspend a workspace whose kernel prints without end.

    Returns when the order was given, and how long after it each message came that was more than a second late.
    """
    base = hub.path(account, name)
    late: list[float] = []
    async with aiohttp.ClientSession(headers=hub.headers()) as session:
        kernel = (await (await session.post(f"{base}/api/kernels", json={})).json())["id"]
        async with session.ws_connect(f"{base}/api/kernels/{kernel}/channels", max_msg_size=0) as channel:
            code = "import time\nfor n in range(10**6): print(n, flush=True); time.sleep(0.01)"
            await channel.send_str(request_message(code)[1])
            seen = 0
            while seen < 20:
                seen += "stream" in (await channel.receive_str(timeout=20))
            hub.controls.suspend(name, "the authorization ended")
            begun = time.monotonic()
            with contextlib.suppress(asyncio.TimeoutError):
                while time.monotonic() - begun < 2:
                    message = await channel.receive(timeout=2 - (time.monotonic() - begun))
                    if message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSE}:
                        break
                    if time.monotonic() - begun > 1:
                        late.append(time.monotonic() - begun)
            assert channel.closed, "the gate closes an open websocket of a suspended workspace"
    return begun, late


def test_resume_lets_processes_run_on(hub: RunningHub) -> None:
    name = hub.open_workspace("acc_carol")
    hub.controls.suspend(name, "a look at it")
    group = CgroupHost.detect().group(group_name(hub.settings.runtime, name))
    wait_until(group.is_frozen, 2, "freezing")
    hub.controls.resume(name)
    wait_until(lambda: not group.is_frozen(), 2, "thawing")
    with httpx.Client(headers=hub.headers()) as browser:
        wait_until(lambda: browser.get(f"{hub.path('acc_carol', name)}/api/kernels").status_code == 200, 2, "the gate")
    assert hub.run_code("acc_carol", name, "print(6 * 7)").text.strip() == "42"


def test_screen_budget_is_a_hard_stop_that_the_authority_can_raise(hub: RunningHub) -> None:
    name = hub.open_workspace("acc_dave")
    hub.controls.set_budget(name, 300_000)
    wait_until(lambda: hub.controls is not None and _budget_known(hub, name), 5)
    asyncio.run(_flood(hub, "acc_dave", name, megabytes=4))
    wait_until(lambda: sum(shown(hub, name).values()) > 0, 5)
    assert sum(shown(hub, name).values()) <= 300_000
    with httpx.Client(headers=hub.headers()) as browser:
        browser.get(f"{hub.path('acc_dave', name)}/api/kernels")
        assert asyncio.run(_flood(hub, "acc_dave", name, megabytes=1)) == "held"
        hub.controls.set_budget(name, 50_000_000)
        wait_until(lambda: browser.get(f"{hub.path('acc_dave', name)}/api/kernels").status_code == 200, 3)


def _budget_known(hub: RunningHub, name: str) -> bool:
    return name in json.loads(hub.settings.controls.read_text())["budgets"]


async def _flood(hub: RunningHub, account: str, name: str, megabytes: int) -> str:
    base = hub.path(account, name)
    async with aiohttp.ClientSession(headers=hub.headers()) as session:
        async with session.post(f"{base}/api/kernels", json={}) as answer:
            if answer.status == 429:
                return "held"
            kernel = (await answer.json())["id"]
        async with session.ws_connect(f"{base}/api/kernels/{kernel}/channels", max_msg_size=0) as channel:
            code = f"for _ in range({megabytes * 10}): display({{'text/plain': 'x' * 100_000}}, raw=True)"
            output = await asyncio.wait_for(execute(channel, code), 30)
            return "held" if len(output.text) < megabytes * 1_000_000 else "shown"


def test_hub_killed_and_started_again_finds_its_workspaces(hub: RunningHub, workspace: str) -> None:
    gate = int((hub.settings.state / "gate.pid").read_text())
    hub.stop_process(kill=True)
    hub.start()
    assert int((hub.settings.state / "gate.pid").read_text()) != gate
    with hub.client() as client:
        assert client.wait_ready("acc_alice", workspace, 20).ready
    code = "print('still here')"
    wait_until(lambda: _answers(hub, workspace), 15, "the route after a restart")
    assert hub.run_code("acc_alice", workspace, code).text.strip() == "still here"


def _answers(hub: RunningHub, workspace: str) -> bool:
    with httpx.Client(headers=hub.headers()) as browser:
        return browser.get(f"{hub.path('acc_alice', workspace)}/api/kernels").status_code == 200


def test_gate_killed_comes_back_with_its_routes_and_counts(hub: RunningHub, workspace: str) -> None:
    before = sum(shown(hub, workspace).values())
    os.kill(int((hub.settings.state / "gate.pid").read_text()), 9)
    wait_until(lambda: _gate_is_back(hub, workspace), 25, "the gate")
    assert sum(shown(hub, workspace).values()) >= before


def _gate_is_back(hub: RunningHub, workspace: str) -> bool:
    try:
        return _answers(hub, workspace)
    except httpx.HTTPError:
        return False


def test_page_that_comes_again_is_told_what_its_kernel_said_meanwhile(hub: RunningHub, workspace: str) -> None:
    hub.run_code("acc_alice", workspace, "1")
    before = shown(hub, workspace).get("kernelws", 0)
    assert "said meanwhile" in asyncio.run(_come_again(hub, workspace, "print('said ' + 'meanwhile' + 'x' * 50_000)"))
    wait_until(lambda: shown(hub, workspace)["kernelws"] - before > 50_000, 5, "the count of what was kept for it")


async def _come_again(hub: RunningHub, workspace: str, code: str) -> str:
    """Lose the connection before the kernel has answered, and return what the next one of the same page is told."""
    url = f"{hub.path('acc_alice', workspace)}/api/kernels/{hub._kernels[workspace]}/channels?session_id=page"
    async with aiohttp.ClientSession(headers=hub.headers()) as session:
        lost = await session.ws_connect(url)
        await lost.send_str(request_message(f"import time; time.sleep(1); {code}")[1])
        await asyncio.sleep(0.3)
        lost._response.connection.transport.abort()
        await lost.close()
        await asyncio.sleep(1.5)
        async with asyncio.timeout(10), session.ws_connect(url, max_msg_size=0) as channel:
            while True:
                body = json.loads((await channel.receive()).data)
                if body["msg_type"] == "stream":
                    return str(body["content"]["text"])


def test_stop_leaves_no_process_socket_or_group(hub: RunningHub) -> None:
    name = hub.open_workspace("acc_erin")
    with hub.client() as client:
        client.stop_server("acc_erin", name)
        client.wait_stopped("acc_erin", name)
    assert group_name(hub.settings.runtime, name) not in CgroupHost.detect().list_groups()
    assert not (Path(hub.settings.runtime) / name / "in" / "in.sock").exists()

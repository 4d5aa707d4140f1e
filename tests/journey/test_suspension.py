"""An authorization is suspended while everything is in use: in every process it stops within a second, and says why."""

from __future__ import annotations

import asyncio
import html
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from journey_kit import Browser, Walked, refused, wait_until

from sandbox.workspaces.host.limits import Cgroup
from shuzha.server.demo import sheets
from shuzha.server.demo.calls import Verifier
from shuzha.server.demo.city import Subject, pick_subjects
from shuzha.server.demo.client import Refused
from shuzha.server.demo.hub_session import Seat, execute, execute_request, sit_down

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="freezing a workspace's processes needs root"),
]

REASON = "协议第七条：安全检查未完成 clause 7: the security check is not finished"
SUBMIT = f'import workbench\nprint(workbench.submit("{sheets.NOTEBOOK}", context="{sheets.CONTEXT}"))'
TALK = "import time\nfor n in range(3000):\n    print(n, flush=True)\n    time.sleep(0.02)"
ONE_SECOND = 1.0
GIVEN_UP = 10.0
# PF_EXITING of the kernel's linux/sched.h, and SIGKILL in a mask of signals.
EXITING = 0x4
KILLED = 1 << (signal.SIGKILL - 1)


@dataclass
class Seen:
    """What was seen once the suspension was asked for: the seconds to each end, the key's and the gate's answer."""

    seconds: dict[str, float]
    key: Refused
    page: tuple[int, str]


async def until(began: float, true: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long after `began` it became true, and with what; fail when it takes too long."""
    while not (value := await asyncio.to_thread(true)):
        assert time.monotonic() - began < GIVEN_UP
        await asyncio.sleep(0.01)
    return time.monotonic() - began, value


def ask(calls: Verifier, subject: Subject) -> Refused | None:
    try:
        calls.verify(subject.resident_id, subject.name)
    except Refused as refusal:
        return refusal
    return None


def is_dying(pid: int) -> bool:
    """Whether a process runs none of its own code any more: killed, whatever it waits for, or on its way out."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        flags = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[6])
    except (FileNotFoundError, ProcessLookupError):
        return True
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    pending = int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)
    return bool(flags & EXITING or pending & KILLED) or fields["State"][0] in "ZX"


def stands_still(group: Cgroup) -> bool:
    """Whether no process of the group runs: it is frozen, or thawed only to die."""
    return group.is_frozen() or all(is_dying(pid) for pid in group.list_processes())


async def watch_gate(seat: Seat, began: float) -> tuple[float, tuple[int, str]]:
    """Return when the gate first refused, and how."""
    while True:
        assert time.monotonic() - began < GIVEN_UP
        async with seat.browser.get(f"{seat.base}/api/kernels", headers={"Accept": "text/html"}) as answer:
            if answer.status != 200:
                return time.monotonic() - began, (answer.status, await answer.text())
        await asyncio.sleep(0.02)


async def watch_line(line: aiohttp.ClientWebSocketResponse, began: float) -> tuple[float, float]:
    """Return when the last byte came over a kernel's line that talks all the time, and when the line was closed."""
    last = 0.0
    async with asyncio.timeout(GIVEN_UP):
        async for message in line:
            if message.type is aiohttp.WSMsgType.TEXT:
                last = time.monotonic() - began
    return last, time.monotonic() - began


async def suspend_while_in_use(walked: Walked, subject: Subject, group: Cgroup) -> Seen:
    """Suspend the authorization while a key calls, a browser looks and a kernel talks; return what each saw."""
    calls, authority = walked.verifier(), walked.person("authority")
    path = f"/authorizations/{walked.made['authorization']}/suspend"
    async with sit_down(walked.settings, "analyst", walked.password, walked.made["server"]) as seat:
        kernel = await seat.start_kernel()
        async with seat.line(kernel) as line:
            assert (await execute(line, "print(6 * 7)")).text == "42\n"
            await line.send_str(execute_request(TALK)[1])
            while json.loads((await line.receive()).data)["msg_type"] != "stream":
                pass
            assert ask(calls, subject) is None
            assert not stands_still(group)
            began = time.monotonic()
            found = await asyncio.gather(
                until(began, lambda: ask(calls, subject)), until(began, lambda: stands_still(group)),
                watch_gate(seat, began), watch_line(line, began),
                asyncio.to_thread(authority.post, path, {"reason": REASON}),
            )  # fmt: skip
    (key, refusal), (frozen, _), (gate, page), (last, closed), _ = found
    seconds = {"key": key, "processes": frozen, "gate": gate, "last byte": last, "line": closed}
    return Seen(seconds, refusal, page)


@pytest.fixture(scope="module")
def pending(walked: Walked) -> str:
    """An export request that waits for its reviewers when the suspension comes."""
    walked.workspace()
    walked.run_inside(SUBMIT)
    analyst = walked.person("analyst")
    found = analyst.get("/exports", workspace=walked.made["workspace"])[0]
    return str(analyst.wait(f"/exports/{found['id']}", lambda one: one["state"] == "screened", "screening", 60)["id"])


@pytest.fixture(scope="module")
def subject(walked: Walked) -> Subject:
    """One that may be asked about as often as these tests do."""
    wide = {"distinct_subjects": 10_000, "subject_asks": 10_000, "negatives": 10_000, "reason": "a test that asks on"}
    walked.person("operator").put(f"/products/{walked.made['product']}/limits", wide)
    return pick_subjects(walked.city, each=1).insured[0]


@pytest.fixture(scope="module")
def seen(walked: Walked, pending: str, subject: Subject) -> Iterator[Seen]:
    """The suspension, as everybody saw it; the authorization is in force again after the module's tests."""
    group = walked.kernels()
    found = asyncio.run(suspend_while_in_use(walked, subject, group))
    print("\nafter the suspension: " + ", ".join(f"{name} {value:.2f} s" for name, value in found.seconds.items()))
    yield found
    authority, one = walked.person("authority"), f"/authorizations/{walked.made['authorization']}"
    if authority.get(one)["state"] == "suspended":
        authority.post(f"{one}/restore", {"reason": "a test has ended"})


@pytest.mark.parametrize("what", ["key", "processes", "gate", "last byte", "line"])
def test_suspend_stops_everything_within_a_second(seen: Seen, what: str) -> None:
    assert seen.seconds[what] <= ONE_SECOND


def test_suspend_refuses_the_key_with_the_reason(seen: Seen, walked: Walked, subject: Subject) -> None:
    refusal = seen.key
    assert (refusal.status, refusal.code) == (403, "authorization_suspended")
    assert REASON in refusal.message
    assert refusal.rule


def test_suspend_shows_the_reason_at_the_gate(seen: Seen) -> None:
    status, page = seen.page
    assert status == 403
    assert REASON in html.unescape(page)
    assert "该工作区已被暂停" in page


def test_suspend_keeps_the_jail_still_and_then_ends_it(seen: Seen, walked: Walked) -> None:
    groups = (walked.kernels(), walked.jail())
    assert all(stands_still(group) for group in groups)
    wait_until(lambda: not any(group.list_processes() for group in groups), 15, "the end of the suspended server")


def test_suspend_holds_the_pending_export(seen: Seen, walked: Walked, pending: str) -> None:
    analyst = walked.person("analyst")
    held = analyst.wait(f"/exports/{pending}", lambda one: one["state"] == "held", "the hold", 2)
    assert REASON in held["reason"]
    vote = {"choice": "approve", "reason": "每格不少于十人 ten or more in each cell"}
    refusal = refused(lambda: walked.person("checker1").post(f"/exports/{pending}/vote", vote))
    assert (refusal.status, refusal.code) in {(409, "transition_not_allowed"), (403, "not_allowed")}


def test_suspend_refuses_a_new_export_and_says_why(seen: Seen, walked: Walked) -> None:
    before = walked.person("analyst").get("/exports")
    page = f"/workspaces/{walked.made['workspace']}"
    answer = Browser(walked, "analyst").send(
        page, f"{page}/exports", notebook=sheets.NOTEBOOK, context=sheets.CONTEXT, title="again"
    )
    assert answer.status_code in {403, 409, 422}
    assert REASON in html.unescape(answer.text)
    assert walked.person("analyst").get("/exports") == before


def test_suspend_refuses_to_open_the_workspace(seen: Seen, walked: Walked) -> None:
    refusal = refused(lambda: walked.person("analyst").post("/workspaces", {"demand": walked.made["demand"]}))
    assert refusal.status in {403, 409}
    assert REASON in refusal.message


def test_suspend_is_explained_on_the_pages_of_those_concerned(seen: Seen, walked: Walked) -> None:
    authorization, workspace = walked.made["authorization"], walked.made["workspace"]
    assert REASON in Browser(walked, "operator").read(f"/authorizations/{authorization}")
    assert REASON in Browser(walked, "analyst").read(f"/workspaces/{workspace}")


def test_restore_brings_calls_export_and_workspace_back(
    seen: Seen, walked: Walked, subject: Subject, pending: str
) -> None:
    authority, analyst, calls = walked.person("authority"), walked.person("analyst"), walked.verifier()
    refused(lambda: calls.verify(subject.resident_id, subject.name))
    began = time.monotonic()
    authority.post(f"/authorizations/{walked.made['authorization']}/restore", {"reason": "检查完成 check finished"})
    wait_until(lambda: ask(calls, subject) is None, 5, "the key's return")
    print(f"\nafter the restoration: key {time.monotonic() - began:.2f} s")
    assert calls.verify(subject.resident_id, subject.name).result == subject.expected
    analyst.wait(f"/exports/{pending}", lambda one: one["state"] == "screened", "the export's return", 5)
    page = f"/workspaces/{walked.made['workspace']}"
    analyst.wait(page, lambda one: one["state"] == "stopped", "the workspace's return", 10)
    assert walked.workspace()["id"] == walked.made["workspace"]
    assert walked.run_inside("print(6 * 7)") == "42\n"

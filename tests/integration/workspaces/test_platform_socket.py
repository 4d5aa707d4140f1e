"""A notebook's line to the platform: typed verbs, typed errors, one socket a workspace."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from workspace_kit import RunningHub, wait_until

from sandbox.workspaces.host.line_socket import MOST_LINE_BYTES
from sandbox.workspaces.platform_socket import PlatformSockets
from sandbox.workspaces.records.runtime import runtime_paths
from shuzha.core.errors import Invalid


class Desk:
    """Verbs that remember who asked, refuse one notebook by a rule, and fail on another."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def datasets(self, workspace: str) -> list[dict[str, Any]]:
        self.asked.append(("datasets", workspace))
        return [{"name": "social_insurance", "rows": 1000, "columns": ["resident", "insured"]}]

    def status(self, workspace: str) -> dict[str, Any]:
        return {"workspace": workspace}

    def budget(self, workspace: str) -> dict[str, Any]:
        raise RuntimeError("a secret of the platform")

    def dp(self, workspace: str, entry: str, query: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(("dp", workspace, entry, query["ask"]))
        return {"rows": []}

    def check(self, workspace: str, specification: dict[str, Any]) -> dict[str, Any]:
        return {"kind": specification["kind"], "verdict": "pass", "findings": [], "rows": 2}

    def submit(self, workspace: str, notebook: str, outputs: dict[str, str], context: str) -> dict[str, Any]:
        if notebook == "none.ipynb":
            raise Invalid("there is no such notebook", rule="workspace.notebook", accepted="a saved notebook")
        self.asked.append(("submit", workspace, notebook, *outputs, context))
        return {"export": "exp_1", "state": "submitted"}


@pytest_asyncio.fixture
async def place() -> AsyncIterator[tuple[Path, Desk, PlatformSockets]]:
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        desk = Desk()
        sockets = PlatformSockets(Path(name), desk)
        runtime_paths(Path(name), "w-one").make()
        await sockets.open("w-one", os.geteuid())
        yield Path(name), desk, sockets
        await sockets.close("w-one")


async def say(folder: Path, *lines: bytes, workspace: str = "w-one") -> list[dict[str, Any]]:
    reader, writer = await asyncio.open_unix_connection(str(runtime_paths(folder, workspace).platform), limit=2**20)
    answers = []
    for line in lines:
        writer.write(line)
        await writer.drain()
        answers.append(json.loads(await asyncio.wait_for(reader.readline(), 10)))
    writer.close()
    return answers


async def test_verb_is_answered_for_the_workspace_of_the_socket(place: tuple[Path, Desk, PlatformSockets]) -> None:
    folder, desk, sockets = place
    call = {"verb": "submit", "notebook": "a.ipynb", "outputs": {"insured": "0" * 64}, "context": "loan review"}
    answers = await say(folder, b'{"verb": "datasets"}\n', json.dumps(call).encode() + b"\n")
    assert answers[0]["result"][0]["name"] == "social_insurance"
    assert answers[1]["result"]["export"] == "exp_1"
    assert desk.asked == [("datasets", "w-one"), ("submit", "w-one", "a.ipynb", "insured", "loan review")]
    assert sockets.use["w-one"].calls == 2


@pytest.mark.parametrize(
    "line",
    [
        b"\n", b"{}\n", b"[]\n", b"\xff\xfe\n", b'{"verb": "drop_tables"}\n', b'{"verb": "submit"}\n',
        b'{"verb": "datasets", "workspace": "w-two"}\n', b'{"verb": "submit", "notebook": 7}\n',
        b'{"verb": "check", "specification": "text"}\n', b'{"verb": "dp", "entry": "a"}\n',
        b'{"verb": "dp", "entry": "a", "query": {}, "workspace": "w-two"}\n', b"[" * 10_000 + b"\n",
    ],
)  # fmt: skip
async def test_malformed_line_gets_an_error_and_the_connection_lives(
    place: tuple[Path, Desk, PlatformSockets], line: bytes
) -> None:
    folder, desk, _ = place
    answers = await say(folder, line, b'{"verb": "status"}\n')
    assert answers[0]["error"]["code"] == "malformed"
    assert answers[1] == {"ok": True, "result": {"workspace": "w-one"}}
    assert desk.asked == []


async def test_refusal_of_a_rule_reaches_the_notebook(place: tuple[Path, Desk, PlatformSockets]) -> None:
    answers = await say(place[0], b'{"verb": "submit", "notebook": "none.ipynb"}\n')
    assert answers[0]["error"] == {
        "code": "invalid", "message": "there is no such notebook", "rule": "workspace.notebook",
        "accepted": "a saved notebook",
    }  # fmt: skip


async def test_fault_of_the_platform_tells_nothing(place: tuple[Path, Desk, PlatformSockets]) -> None:
    answers = await say(place[0], b'{"verb": "budget"}\n')
    assert answers[0]["error"]["code"] == "unavailable"
    assert "secret" not in json.dumps(answers)


async def test_line_above_the_cap_ends_the_connection(place: tuple[Path, Desk, PlatformSockets]) -> None:
    reader, writer = await asyncio.open_unix_connection(str(runtime_paths(place[0], "w-one").platform), limit=2**20)
    writer.write(b'{"verb": "status", "x": "' + b"y" * MOST_LINE_BYTES + b'"}\n')
    assert json.loads(await asyncio.wait_for(reader.readline(), 10))["error"]["code"] == "too_large"
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_sockets_follow_the_open_workspaces(place: tuple[Path, Desk, PlatformSockets]) -> None:
    folder, _, sockets = place
    wanted = {"w-one": os.geteuid(), "w-two": os.geteuid()}
    following = asyncio.create_task(sockets.follow(lambda: dict(wanted), seconds=0.02))
    runtime_paths(folder, "w-two").make()
    two = runtime_paths(folder, "w-two").platform
    await asyncio.to_thread(wait_until, two.exists, 5, "the socket of w-two")
    assert (await say(folder, b'{"verb": "status"}\n', workspace="w-two"))[0]["result"] == {"workspace": "w-two"}
    del wanted["w-two"]
    await asyncio.to_thread(wait_until, lambda: not two.exists(), 5, "the end of the socket of w-two")
    following.cancel()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root")
def test_workbench_in_a_real_kernel_speaks_to_the_platform(hub: RunningHub, workspace: str) -> None:
    code = (
        "import workbench\n"
        "print([one['name'] for one in workbench.datasets()])\n"
        "table = workbench.table('social_insurance', rows=['insured'])\n"
        "print(workbench.check(table)['kind'])\n"
        "workbench.export('by_insured', table, context='a test')\n"
        "print(workbench.submit('a.ipynb')['export'])\n"
        "try: workbench.submit('none.ipynb')\n"
        "except workbench.WorkbenchError as error: print(error)\n"
    )

    async def both() -> tuple[str, Desk]:
        desk = Desk()
        spec = hub.specs.find(workspace)
        assert spec is not None
        sockets = PlatformSockets(hub.settings.runtime, desk)
        await sockets.open(workspace, spec.uid)
        text = (await asyncio.to_thread(hub.run_code, "acc_alice", workspace, code)).text
        await sockets.close(workspace)
        return text, desk

    text, desk = asyncio.run(both())
    assert text.splitlines() == [
        "['social_insurance']", "table", "exp_1", "there is no such notebook (accepted: a saved notebook)"
    ], text  # fmt: skip
    assert ("submit", workspace, "a.ipynb", "by_insured", "") in desk.asked

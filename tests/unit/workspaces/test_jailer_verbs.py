"""What the jailer understands, and what it answers to everything else; who may ask; how a client hears a refusal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import string
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from sandbox.workspaces.host.line_socket import LineRules, LineServer
from sandbox.workspaces.jailer import verbs
from sandbox.workspaces.jailer.__main__ import platform_table, server_table
from sandbox.workspaces.jailer.client import AsyncJailerClient, JailerClient
from sandbox.workspaces.records.controls import WORKSPACE_ID
from shuzha.core.errors import Invalid, NotAllowed, Unavailable

PLATFORM = msgspec.json.Decoder(verbs.PlatformCall)
SERVER = msgspec.json.Decoder(verbs.ServerCall)
KERNEL = "0b9d2f6e-13a5-4c1b-9d53-0a2b7c7d3e11"
PORTS = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}


def is_understood(decoder: msgspec.json.Decoder[Any], call: object) -> bool:
    try:
        decoder.decode(json.dumps(call))
    except msgspec.ValidationError:
        return False
    return True


def test_every_verb_is_done_and_nothing_else() -> None:
    assert set(platform_table(None)) == set(get_args(verbs.PlatformCall))  # type: ignore[arg-type]
    assert set(server_table(None, "w-one")) == set(get_args(verbs.ServerCall))  # type: ignore[arg-type]


def test_no_verb_has_a_field_that_could_widen_a_jail() -> None:
    calls = (*get_args(verbs.PlatformCall), *get_args(verbs.ServerCall))
    fields = {field for call in calls for field in call.__struct_fields__}
    assert fields == {"workspace", "account", "variables", "grace", "name", "kernel", "key", "ports", "directory"}


@given(st.text(alphabet=string.printable + "\0\u00e9", max_size=40))
def test_only_a_workspaces_name_is_taken_for_one(name: str) -> None:
    understood = is_understood(PLATFORM, {"verb": "poll", "workspace": name})
    assert understood is (WORKSPACE_ID.fullmatch(name) is not None)


@given(st.text(alphabet=string.hexdigits + "-./\n", max_size=40))
def test_only_a_kernels_id_is_taken_for_one(name: str) -> None:
    plain = len(name) == 36 and name == name.lower() and [len(part) for part in name.split("-")] == [8, 4, 4, 4, 12]
    assert is_understood(SERVER, {"verb": "poll", "kernel": name}) is (plain and set(name) <= set("0123456789abcdef-"))


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "PATH", "jupyterhub_api_token", "JUPYTERHUB_", "JUPYTERHUB_X=1", "JUPYTERHUB_A\n", "PYTHONPATH"],
)
def test_only_the_hubs_variables_are_taken(name: str) -> None:
    call = {"verb": "start", "workspace": "w-one", "account": "a", "variables": {name: "x"}}
    assert not is_understood(PLATFORM, call)
    assert is_understood(PLATFORM, {**call, "variables": {"JUPYTERHUB_API_TOKEN": "x"}})


@pytest.mark.parametrize(
    "change",
    [
        {"ports": {**PORTS, "hb_port": 0}},
        {"ports": {**PORTS, "ip": "/gate/out"}},
        {"ports": {name: PORTS[name] for name in ("shell_port", "hb_port")}},
        {"key": "short"},
        {"key": "k" * 20 + '"'},
        {"kernel": KERNEL.upper()},
        {"kernel": f"{KERNEL}\n"},
        {"directory": "a\0b"},
        {"directory": "a" * 513},
        {"ip": "/gate/out"},
        {"command": ["sh"]},
    ],
    ids=str,
)
def test_kernel_is_started_by_its_own_fields_alone(change: dict[str, Any]) -> None:
    call = {"verb": "start", "kernel": KERNEL, "key": "k" * 32, "ports": PORTS, "directory": "deep"}
    assert is_understood(SERVER, call), "the control"
    assert not is_understood(SERVER, {**call, **change})


# --- over a socket --------------------------------------------------------------------------------------------------


class Desk:
    """Answers polls; a workspace by the name of an error gets that error."""

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, call: Any) -> Any:
        self.asked += 1
        if call.workspace == "refused":
            raise NotAllowed("it is suspended: a look at it", rule="workspace.start", accepted="another time")
        if call.workspace == "fault":
            raise RuntimeError("a secret of the jailer")
        return 7


@pytest_asyncio.fixture
async def place() -> AsyncIterator[tuple[Path, Desk, LineServer[Any]]]:
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as folder:
        desk = Desk()
        rules = LineRules(most_bytes=4096, patient=False, peers=frozenset({os.geteuid()}))
        server = LineServer("a jailer", PLATFORM, desk.answer, "poll", rules)
        await server.open(Path(folder) / "j.sock")
        yield Path(folder) / "j.sock", desk, server
        await server.close()


async def say(path: Path, words: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(words)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


POLL = b'{"verb": "poll", "workspace": "w-one"}\n'


@pytest.mark.parametrize(
    "words",
    [
        b"\xff\0\0\0\0\0\0\0\0\x7f\x03\n" + POLL,
        b"GET /hub/api HTTP/1.1\r\n\r\n" + POLL,
        b'{"verb": "none"}\n' + POLL,
        b"[]\n" + POLL,
        b"{" * 5000 + b"\n" + POLL,
    ],
    ids=["zeromq", "http", "verb", "json", "long"],
)
async def test_impatient_socket_closes_at_what_it_does_not_know(
    place: tuple[Path, Desk, LineServer[Any]], words: bytes
) -> None:
    path, desk, _ = place
    with contextlib.suppress(ConnectionResetError):  # closed while something lay unread: as good as silence
        assert await say(path, words) == b""
    assert desk.asked == 0


async def test_socket_answers_no_user_but_its_peers(place: tuple[Path, Desk, LineServer[Any]]) -> None:
    path, desk, server = place
    server.rules = LineRules(peers=frozenset({os.geteuid() + 1}))
    with contextlib.suppress(ConnectionResetError):
        assert await say(path, POLL) == b""
    assert desk.asked == 0
    server.rules = LineRules(peers=frozenset({os.geteuid()}))
    assert (await AsyncJailerClient(path).poll("w-one")) == 7


async def test_clients_hear_refusals_as_what_they_were(place: tuple[Path, Desk, LineServer[Any]]) -> None:
    path, _, _ = place
    for ask in (AsyncJailerClient(path).poll, lambda name: asyncio.to_thread(JailerClient(path).poll, name)):
        assert await ask("w-one") == 7
        with pytest.raises(NotAllowed, match="it is suspended: a look at it") as refused:
            await ask("refused")
        assert (refused.value.rule, refused.value.accepted) == ("workspace.start", "another time")
        with pytest.raises(Unavailable) as fault:
            await ask("fault")
        assert "secret" not in str(fault.value)
        with pytest.raises((Unavailable, Invalid), match="did not answer"):
            await ask("not a name")


async def test_clients_wait_for_a_jailer_that_starts_and_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "j.sock"
    with pytest.raises(Unavailable, match="the jailer does not answer"):
        await AsyncJailerClient(path, wait=0.1).poll("w-one")
    with pytest.raises(Unavailable, match="the jailer does not answer"):
        JailerClient(path, wait=0.1).poll("w-one")
    server = LineServer("late", PLATFORM, Desk().answer, "poll")
    asking = asyncio.create_task(AsyncJailerClient(path, wait=10).poll("w-one"))
    await asyncio.sleep(0.1)
    await server.open(path)
    assert await asking == 7
    await server.close()

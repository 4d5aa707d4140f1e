"""The two hubs of the benches of whole workspaces, and how a caller uses either of them.

Ours is the hub of the integration tests: jailer, two jails a workspace, gate. The rival is the same JupyterHub with its
own LocalProcessSpawner and its own proxy on node; it starts the same Jupyter server from the same environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import node_proxy
from stand import ROOT, free_port, wait_for

sys.path.insert(0, str(ROOT / "tests"))

from workspace_kit import RunningHub, running_hub

PYTHON = ROOT / ".venv-sandbox/bin/python"
START_SECONDS = 170.0
LEAN = {"jupyter_lsp": False, "jupyter_server_terminals": False, "jupyterlab": True}

RIVAL = """
import os
c.JupyterHub.bind_url = "http://127.0.0.1:{port}/"
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.db_url = "sqlite:///{folder}/hub.db"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = "a password of a bench only"
c.Authenticator.allow_all = True
c.JupyterHub.allow_named_servers = True
c.JupyterHub.concurrent_spawn_limit = 100
c.ConfigurableHTTPProxy.command = {proxy!r}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.pid_file = "{folder}/proxy.pid"
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/homes/{{username}}"
c.Spawner.cmd = {command!r}
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
c.Spawner.default_url = "/lab"
c.Spawner.disable_user_config = True
c.Spawner.http_timeout = c.Spawner.start_timeout = 60
c.Spawner.pre_spawn_hook = lambda spawner: setattr(
    spawner, "args", [*c.Spawner.args, *(spawner.user_options or {{}}).get("args", [])])
c.JupyterHub.services = [{{"name": "bench", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{
    "name": "bench", "services": ["bench"],
    "scopes": ["admin:users", "admin:servers", "servers", "list:users", "read:servers", "access:servers"]}}]
"""


@dataclass(frozen=True)
class Caller:
    """A hub as its users reach it: `front` through its proxy; `api` is the hub's own."""

    front: str
    api: str
    token: str
    socket: str | None = None

    def path(self, account: str, name: str) -> str:
        return f"{self.front}/user/{account}/{name}"

    @contextlib.asynccontextmanager
    async def sessions(self) -> AsyncIterator[tuple[aiohttp.ClientSession, aiohttp.ClientSession]]:
        """Give a session for the hub's API and one for what goes through the proxy."""
        headers = {"Authorization": f"token {self.token}"}
        limit = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=START_SECONDS)
        connector = aiohttp.UnixConnector(self.socket, limit=0) if self.socket else aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp.ClientSession(headers=headers, connector=connector, timeout=limit) as api,
            aiohttp.ClientSession(headers=headers, timeout=limit, connector=aiohttp.TCPConnector(limit=0)) as front,
        ):
            yield api, front


def _end(*_: object) -> None:
    sys.exit("the bench was told to end")  # By way of every `finally`: hubs and workspaces end with it.


@contextlib.contextmanager
def our_hub(**changes: Any) -> Iterator[tuple[RunningHub, Caller]]:
    """Give our hub, with jailer and gate."""
    signal.signal(signal.SIGTERM, _end)
    with contextlib.contextmanager(running_hub)(**changes) as hub:
        yield hub, Caller(hub.url, "http://hub/hub/api", hub.token, str(hub.settings.hub_socket))


@contextlib.contextmanager
def rival_hub() -> Iterator[tuple[Path, Caller]]:
    """Give JupyterHub as it comes, with its own proxy on node; and its folder."""
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        folder, token = Path(name), secrets.token_hex(16)
        port, hub_port, api_port = free_port(), free_port(), free_port()
        (folder / "config.py").write_text(
            RIVAL.format(
                port=port, hub_port=hub_port, api_port=api_port, folder=folder, token=token,
                proxy=node_proxy.command(), command=[str(PYTHON), "-I", "-m", "jupyterhub.singleuser"],
            )
        )  # fmt: skip
        command = [sys.executable, "-m", "jupyterhub", "-f", str(folder / "config.py")]
        caller = Caller(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{hub_port}/hub/api", token)
        with (folder / "hub.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
            try:
                wait_for(lambda: asyncio.run(_answers(caller)), 60)
                yield folder, caller
            finally:
                process.terminate()  # It ends its servers and its proxy with itself.
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


async def _answers(caller: Caller) -> bool:
    try:
        async with caller.sessions() as (api, front):
            for session, url in ((api, f"{caller.api}/"), (front, f"{caller.front}/hub/health")):
                async with session.get(url) as got:
                    if got.status != 200:
                        return False
    except aiohttp.ClientError:
        return False
    return True


# --- workspaces ------------------------------------------------------------------------------------------------------


async def make_user(caller: Caller, account: str) -> None:
    async with caller.sessions() as (api, _), api.post(f"{caller.api}/users/{account}") as got:
        if got.status not in {201, 409}:
            raise SystemExit(f"no user could be made: {got.status} {await got.text()}")


async def open_server(caller: Caller, account: str, name: str, options: dict[str, Any] | None = None) -> float:
    """Return the seconds from asking the hub for a server to the server's first answer through the proxy."""
    began = time.perf_counter()
    async with caller.sessions() as (api, front):
        async with api.post(f"{caller.api}/users/{account}/servers/{name}", json=options or {}) as got:
            if got.status not in {201, 202}:
                raise SystemExit(f"no server could be started: {got.status} {await got.text()}")
            ready = got.status == 201
        while not ready:
            await asyncio.sleep(0.05)
            async with api.get(f"{caller.api}/users/{account}") as got:
                server = (await got.json())["servers"].get(name)
            if server is None or not (server["ready"] or server["pending"]):
                raise SystemExit(f"the server {name} did not start")
            ready = server["ready"]
            if time.perf_counter() - began > START_SECONDS:
                raise SystemExit(f"the server {name} was not ready in time")
        async with front.get(f"{caller.path(account, name)}/api/status") as got:
            if got.status != 200:
                raise SystemExit(f"a server that is ready answered {got.status}")
    return time.perf_counter() - began


async def stop_server(caller: Caller, account: str, name: str) -> float:
    """Return the seconds until the hub has ended a server."""
    began = time.perf_counter()
    async with caller.sessions() as (api, _):
        async with api.delete(f"{caller.api}/users/{account}/servers/{name}") as got:
            if got.status not in {202, 204}:
                raise SystemExit(f"a server could not be stopped: {got.status}")
            stopped = got.status == 204
        while not stopped:
            await asyncio.sleep(0.05)
            async with api.get(f"{caller.api}/users/{account}") as got:
                stopped = name not in (await got.json())["servers"]
    return time.perf_counter() - began


async def start_kernel(front: aiohttp.ClientSession, base: str) -> str:
    async with front.post(f"{base}/api/kernels", json={"name": "python3"}) as got:
        if got.status != 201:
            raise SystemExit(f"no kernel could be started: {got.status} {await got.text()}")
        return str((await got.json())["id"])


async def execute(channel: aiohttp.ClientWebSocketResponse, code: str) -> str:
    """Run `code` and return what it gave once the kernel is idle; code that fails ends the bench."""
    identity, text = request(code)
    await channel.send_str(text)
    said = ""
    async for message in channel:
        body = json.loads(message.data)
        if body["parent_header"].get("msg_id") != identity:
            continue
        content, kind = body["content"], body["msg_type"]
        if kind == "error":
            raise SystemExit(f"code in a workspace failed: {content['ename']}: {content['evalue']}")
        if kind == "stream":
            said += content["text"]
        elif kind == "execute_result":
            said += str(content["data"]["text/plain"])
        elif kind == "status" and content["execution_state"] == "idle":
            return said
    raise SystemExit("a kernel's channel was closed")


def request(code: str) -> tuple[str, str]:
    """Return the id and the text of a message that has a kernel execute `code`."""
    identity = uuid.uuid4().hex
    header = {"msg_id": identity, "msg_type": "execute_request", "username": "", "session": identity, "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    body = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    return identity, json.dumps({**body, "buffers": []})


async def run_first(caller: Caller, account: str, name: str, code: str) -> str:
    """Start a kernel, run `code` in it as its first cell and return what it gave."""
    base = caller.path(account, name)
    async with caller.sessions() as (_, front):
        kernel = await start_kernel(front, base)
        async with front.ws_connect(f"{base}/api/kernels/{kernel}/channels", max_msg_size=0) as channel:
            return await execute(channel, code)


# --- figures ---------------------------------------------------------------------------------------------------------


def summarize(values: list[float], digits: int = 2) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), digits), "least": round(min(values), digits),
        "most": round(max(values), digits),
    }  # fmt: skip


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def anonymous_bytes(pid: int) -> int:
    """Return the anonymous memory of a process, as the host's kernel counts it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0) * 1024


def is_root() -> bool:
    return os.geteuid() == 0

"""A real hub with the gate as its proxy, for tests: started in its own folder, ended with everything it started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import polars as pl
from ports_kit import free_port

from sandbox.workspaces.host.disks import detach_all
from sandbox.workspaces.host.limits import CgroupHost, Limits
from sandbox.workspaces.hub.client import HubClient
from sandbox.workspaces.jailer.client import JailerClient
from sandbox.workspaces.jailer.workspace_jails import Places, build_server_jail
from sandbox.workspaces.jails.jail import start_jail
from sandbox.workspaces.jails.warden import end_workspace
from sandbox.workspaces.own_files import OwnZone
from sandbox.workspaces.records.controls import ControlsWriter, FileControls
from sandbox.workspaces.records.hub_settings import VARIABLE, HubSettings
from sandbox.workspaces.records.runtime import runtime_paths
from sandbox.workspaces.records.specs import OWN_FILES, FileSpecs, GrantedRelease, WorkspaceSpec

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".venv-sandbox"
PASSWORD = "a password of a test only"


def wait_until(true: Callable[[], Any], timeout: float = 10.0, what: str = "the condition") -> Any:
    """Return the first truthy value of `true()`; fail when `timeout` seconds pass without one."""
    deadline = time.monotonic() + timeout
    while not (value := true()):
        assert time.monotonic() < deadline, f"{what} did not come true within {timeout} s"
        time.sleep(0.02)
    return value


@dataclass
class Output:
    """What a piece of code in a kernel gave: printed text, results, and the name of an error."""

    text: str = ""
    error: str = ""


@dataclass
class RunningHub:
    """A hub that answers, the folders around it, and how to use it as the platform and as a person would."""

    folder: Path
    settings: HubSettings
    token: str
    process: subprocess.Popen[bytes] | None = None
    jailer_process: subprocess.Popen[bytes] | None = None
    workspaces: list[str] = field(default_factory=list)
    _uid: int = 210_000
    _kernels: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.bind_port}"

    @property
    def controls(self) -> ControlsWriter:
        return ControlsWriter(self.settings.controls)

    @property
    def specs(self) -> FileSpecs:
        return FileSpecs(
            self.settings.specs, release_root=self.settings.releases, home_root=self.settings.homes,
            controls=FileControls(self.settings.controls), own_root=self.settings.own,
        )  # fmt: skip

    @property
    def own_files(self) -> OwnZone:
        return OwnZone(self.folder / "own")

    def client(self) -> HubClient:
        return HubClient(self.token, socket=self.settings.hub_socket)

    def jailer(self) -> JailerClient:
        return JailerClient(self.settings.jailer_socket)

    def start(self) -> None:
        """Start what does not run: the jailer, and a hub with its gate."""
        self.start_jailer()
        self.process = self._spawn(["jupyterhub", "-f", str(ROOT / "sandbox/workspaces/hub/config.py")])
        with self.client() as client:
            wait_until(lambda: self.process.poll() is not None or client.is_up(), 60, "the hub")
            assert self.process.poll() is None, self.log_tail()
        wait_until(self._gate_up, 30, "the gate")

    def start_jailer(self) -> None:
        if self.jailer_process is None or self.jailer_process.poll() is not None:
            self.jailer_process = self._spawn(["sandbox.workspaces.jailer"])
        wait_until(lambda: self.jailer_process.poll() is not None or self.jailer().is_up(), 20, "the jailer")
        assert self.jailer_process.poll() is None, self.log_tail()

    def kill_jailer(self) -> None:
        assert self.jailer_process is not None
        self.jailer_process.kill()
        self.jailer_process.wait(timeout=20)

    def _spawn(self, module: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "hub.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *module], cwd=self.settings.state, stdout=log, stderr=log,
                start_new_session=True,
                env={**os.environ, VARIABLE: str(self.folder / "hub.json"), "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def _gate_up(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.settings.bind_port)) == 0

    def stop_process(self, *, kill: bool = False) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(timeout=20)

    def log_tail(self) -> str:
        return (self.folder / "hub.log").read_text()[-4000:]

    def make_workspace(self, account: str, *, limits: Limits | None = None, rows: int = 1000) -> str:
        """Make a workspace of `account` with one granted release and no own file, and return its name."""
        name = f"w-{secrets.token_hex(4)}"
        release = self.settings.releases / name / "social_insurance"
        release.mkdir(parents=True)
        frame = pl.DataFrame({"resident": [f"r{n}" for n in range(rows)], "insured": [n % 3 == 0 for n in range(rows)]})
        frame.write_parquet(release / "part-0.parquet")
        self._uid += 1
        mounts = (
            GrantedRelease("social_insurance", release), GrantedRelease(OWN_FILES, self.own_files.folder(name)),
        )  # fmt: skip
        self.specs.write(
            WorkspaceSpec(
                name, account, self._uid, self.settings.homes / name, mounts,
                limits or Limits(memory_bytes=1024**3, processes=128, cpu_percent=200, scratch_bytes=64 * 1024**2),
            )
        )  # fmt: skip
        self.workspaces.append(name)
        return name

    def open_workspace(self, account: str, **named: Any) -> str:
        name = self.make_workspace(account, **named)
        with self.client() as client:
            client.ensure_user(account)
            client.start_server(account, name)
            client.wait_ready(account, name)
        return name

    def close(self) -> None:
        """End every jail, then the hub, then take the folder away."""
        host = CgroupHost.detect()
        try:
            if self.process is not None:
                self.stop_process()
        finally:
            if self.process is not None and self.process.poll() is None:
                self.process.kill()
            pid = self.settings.state / "gate.pid"
            if pid.exists():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid.read_text()), 9)
            if self.jailer_process is not None and self.jailer_process.poll() is None:
                self.kill_jailer()
            for name in self.workspaces:
                end_workspace(host, self.settings.runtime, name)
            detach_all(self.settings.homes)
            shutil.rmtree(self.folder, ignore_errors=True)

    def run_in_server_jail(self, workspace: str, code: str) -> str:
        """Run `code` where the workspace's server runs: in a jail that is built as its own, beside it."""
        spec = self.specs.find(workspace)
        assert spec is not None
        paths = runtime_paths(self.settings.runtime, workspace)
        built = build_server_jail(spec, Places(ENVIRONMENT, paths, paths.notebooks, paths.sockets), {}, 0)
        probe = replace(built, name=f"probe-{workspace}", command=("/opt/env/bin/python", "-I", "-c", code))
        reading, writing = os.pipe()
        jail = start_jail(probe, CgroupHost.detect(), output=writing)
        os.close(writing)
        with os.fdopen(reading) as said:
            text = said.read()
        jail.stop(grace=0)
        return text

    # --- as a person's browser -------------------------------------------------------------------------------------

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    def path(self, account: str, workspace: str) -> str:
        return f"{self.url}/user/{account}/{workspace}"

    def run_code(
        self, account: str, workspace: str, code: str, timeout: float = 60.0, *, fresh: bool = False
    ) -> Output:  # fmt: skip
        """Run `code` in a kernel of the workspace, over the gate's REST and websocket, and return what it gave.

        The workspace's one kernel of these tests is used again, unless a `fresh` one is asked for.
        """
        return asyncio.run(self._run_code(account, workspace, code, timeout, fresh=fresh))

    async def _run_code(self, account: str, workspace: str, code: str, seconds: float, *, fresh: bool) -> Output:
        base = self.path(account, workspace)
        async with aiohttp.ClientSession(headers=self.headers()) as session:
            kernel = self._kernels.pop(workspace, "")
            if kernel and not fresh:
                async with session.get(f"{base}/api/kernels/{kernel}") as answer:
                    kernel = kernel if answer.status == 200 else ""
            if not kernel or fresh:
                async with session.post(f"{base}/api/kernels", json={"name": "python3"}) as answer:
                    assert answer.status == 201, await answer.text()
                    kernel = (await answer.json())["id"]
            async with session.ws_connect(f"{base}/api/kernels/{kernel}/channels", max_msg_size=0) as channel:
                result = await asyncio.wait_for(execute(channel, code), seconds)
            self._kernels[workspace] = kernel
            return result


def request_message(code: str) -> tuple[str, str]:
    """Return the id and text of a message that asks a kernel to execute `code`."""
    identity = uuid.uuid4().hex
    header = {"msg_id": identity, "msg_type": "execute_request", "username": "t", "session": identity}
    header["version"] = "5.3"
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    body = {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }
    return identity, json.dumps(body)


async def execute(channel: aiohttp.ClientWebSocketResponse, code: str) -> Output:
    identity, text = request_message(code)
    await channel.send_str(text)
    output = Output()
    async for message in channel:
        body = json.loads(message.data)
        if body["parent_header"].get("msg_id") != identity:
            continue
        content, kind = body["content"], body["msg_type"]
        if kind == "stream":
            output.text += content["text"]
        elif kind in {"execute_result", "display_data"}:
            output.text += str(content["data"].get("text/plain", ""))
        elif kind == "error":
            output.error = f"{content['ename']}: {content['evalue']}"
        elif kind == "status" and content["execution_state"] == "idle":
            break
    return output


def running_hub(**changes: Any) -> Iterator[RunningHub]:
    """Give a hub that answers and end it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="sz-", dir="/tmp"))
    folder.chmod(0o711)
    for name in ("releases", "homes", "specs"):
        (folder / name).mkdir(mode=0o711)
    token = secrets.token_hex(16)
    (folder / "token").write_text(token)
    (folder / "token").chmod(0o600)
    port = free_port()
    values: dict[str, Any] = {
        "bind_ip": "127.0.0.1", "bind_port": port, "public_url": f"http://127.0.0.1:{port}/", "state": folder / "hub",
        "runtime": folder / "run", "specs": folder / "specs", "releases": folder / "releases",
        "homes": folder / "homes", "controls": folder / "controls.json", "usage": folder / "gate" / "usage.db",
        "environment": ENVIRONMENT, "service_token_file": folder / "token", "test_password": PASSWORD,
        "starter": ROOT / "notebooks" / "starter", "own": folder / "own",
    }  # fmt: skip
    settings = HubSettings(**{**values, **changes})
    settings.state.mkdir()
    hub = RunningHub(folder, settings, token)
    (folder / "hub.json").write_text(settings.to_json())
    hub.controls.start()
    try:
        hub.start()
        yield hub
    finally:
        hub.close()


__all__ = ["ENVIRONMENT", "ROOT", "Output", "RunningHub", "running_hub", "runtime_paths", "wait_until"]

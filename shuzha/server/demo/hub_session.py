"""An analyst's browser, scripted: signs in at the portal, is led through the hub's OpenID sign-in, and runs a notebook.

Everything passes the gate as a browser's traffic does: pages, REST, and the kernel's websocket.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from shuzha.core.errors import Unavailable
from shuzha.core.settings import Settings

_CELL_SECONDS = 60.0


@dataclass(slots=True)
class CellRun:
    """What one cell gave: its text, and its error where it failed."""

    text: str = ""
    error: str = ""


@dataclass(slots=True)
class NotebookRun:
    """What a notebook gave, cell by cell."""

    cells: list[CellRun] = field(default_factory=list)

    @property
    def failed(self) -> str:
        """The first error, empty where there is none."""
        return next((cell.error for cell in self.cells if cell.error), "")


class _Localhost(AbstractResolver):
    """Resolves every `*.localhost` to the loopback address, as browsers do."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=self._address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    async def close(self) -> None:
        """Nothing is held."""


def run_notebook(
    settings: Settings, login: str, password: str, server: str, notebook: str, last_cell: str = ""
) -> NotebookRun:
    """Run a notebook of a workspace's home in a new kernel of its server, then `last_cell`; `server` is /user/….

    Raises Unavailable where the sign-in or the server refuses.
    """

    async def run() -> NotebookRun:
        async with sit_down(settings, login, password, server) as seat:
            cells = await seat.read_cells(notebook)
            return await seat.run([*cells, *([last_cell] if last_cell else [])])

    return asyncio.run(run())


def run_cells(settings: Settings, login: str, password: str, server: str, cells: Sequence[str]) -> NotebookRun:
    """Run these cells in a new kernel of a workspace's server; raises Unavailable as `run_notebook` does."""

    async def run() -> NotebookRun:
        async with sit_down(settings, login, password, server) as seat:
            return await seat.run(cells)

    return asyncio.run(run())


@dataclass(frozen=True, slots=True)
class Seat:
    """A browser that is signed in at one workspace; `base` is the workspace's address behind the gate."""

    browser: aiohttp.ClientSession
    base: str
    headers: Mapping[str, str]

    async def read_cells(self, notebook: str) -> list[str]:
        """Return the code cells of a notebook of the home."""
        found = await _check(self.browser.get(f"{self.base}/api/contents/{notebook}", params={"content": "1"}))
        return ["".join(cell["source"]) for cell in found["content"]["cells"] if cell["cell_type"] == "code"]

    async def save_notebook(self, notebook: str, cells: Sequence[str]) -> None:
        """Save a notebook of these code cells in the home."""
        empty: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
        content = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [empty | {"source": c} for c in cells]}
        body = {"type": "notebook", "format": "json", "content": content}
        await _check(self.browser.put(f"{self.base}/api/contents/{notebook}", json=body, headers=self.headers))

    async def submit(self, page: str, form: Mapping[str, str]) -> str:
        """Submit a saved notebook by the form on the portal's page of the workspace; return the export request's id."""
        shown = str(await _check(self.browser.get(page)), "utf-8")
        hidden = re.search(r'name="csrf" value="([^"]+)"', shown)
        filled = {**form, "csrf": hidden[1] if hidden else ""}
        async with self.browser.post(f"{page}/exports", data=filled, allow_redirects=False) as answer:
            place = answer.headers.get("Location", "")
        if "/exports/" not in place:
            raise Unavailable(f"the portal answered {answer.status} to a submission")
        return URL(place).name

    async def start_kernel(self) -> str:
        """Start a kernel and return its id."""
        kernel = await _check(
            self.browser.post(f"{self.base}/api/kernels", json={"name": "python3"}, headers=self.headers)
        )
        return str(kernel["id"])

    @asynccontextmanager
    async def line(self, kernel: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Give the kernel's websocket while the block lasts."""
        place = f"{self.base}/api/kernels/{kernel}/channels"
        origin = str(URL(self.base).origin())
        async with self.browser.ws_connect(place, max_msg_size=0, headers={"Origin": origin}) as line:
            yield line

    async def run(self, cells: Sequence[str]) -> NotebookRun:
        """Run cells in a new kernel up to the first that fails, and end the kernel."""
        kernel, run = await self.start_kernel(), NotebookRun()
        async with self.line(kernel) as line:
            for source in cells:
                run.cells.append(await asyncio.wait_for(execute(line, source), _CELL_SECONDS))
                if run.failed:
                    break
        await _check(self.browser.delete(f"{self.base}/api/kernels/{kernel}", headers=self.headers))
        return run


@asynccontextmanager
async def sit_down(settings: Settings, login: str, password: str, server: str) -> AsyncIterator[Seat]:
    """Give a seat at a workspace: signed in at the portal and led through the hub's OpenID sign-in."""
    connector = aiohttp.TCPConnector(resolver=_Localhost(settings.bind))
    jar = aiohttp.CookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as browser:
        form = {"login": login, "password": password}
        await _check(browser.post(f"{settings.portal_url}/sign-in", data=form, allow_redirects=False))
        base = f"{settings.sandbox_url}{server}"
        await _check(browser.get(f"{base}/lab"))
        yield Seat(browser, base, {"X-XSRFToken": _xsrf(jar, base), "Referer": f"{base}/lab"})


async def _check(answering: Any) -> Any:
    async with answering as answer:
        body = await answer.read()
        if answer.status >= 400:
            raise Unavailable(f"the sandbox answered {answer.status} at {answer.url.path}")
        return json.loads(body) if "json" in answer.content_type else body


def _xsrf(jar: aiohttp.CookieJar, base: str) -> str:
    cookie = jar.filter_cookies(URL(f"{base}/api/kernels")).get("_xsrf")
    return cookie.value if cookie is not None else ""


def execute_request(code: str) -> tuple[str, str]:
    """Return the id and the text of the message that asks a kernel to run `code`."""
    identity = uuid.uuid4().hex
    header = {
        "msg_id": identity, "msg_type": "execute_request", "username": "demo", "session": identity, "version": "5.3"
    }  # fmt: skip
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    rest: dict[str, Any] = {"parent_header": {}, "metadata": {}, "channel": "shell", "buffers": []}
    return identity, json.dumps({"header": header, "content": content, **rest})


async def execute(line: aiohttp.ClientWebSocketResponse, code: str) -> CellRun:
    """Run one cell over a kernel's line and return what it gave; raises Unavailable when the line ends first."""
    identity, request = execute_request(code)
    await line.send_str(request)
    run = CellRun()
    async for message in line:
        if message.type is not aiohttp.WSMsgType.TEXT:
            break
        body = json.loads(message.data)
        if body["parent_header"].get("msg_id") != identity:
            continue
        kind, content = body["msg_type"], body["content"]
        if kind == "stream":
            run.text += content["text"]
        elif kind in {"execute_result", "display_data"}:
            run.text += str(content["data"].get("text/plain", ""))
        elif kind == "error":
            run.error = f"{content['ename']}: {content['evalue']}"
        elif kind == "status" and content["execution_state"] == "idle":
            return run
    raise Unavailable("the kernel's line ended before the cell did")

"""What a browser's user tries to take out: closed routes are refused by the gate, which relies on no server."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import time
import uuid
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest
from attack_kit import CLOSED_ROUTES, inside
from workspace_kit import PASSWORD, RunningHub, wait_until

from shuzha.core.errors import NotFound

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]


@pytest.fixture(scope="module")
def browser(hub: RunningHub, workspace: str) -> Iterator[httpx.Client]:
    hub.run_code("acc_alice", workspace, "open('notebooks/data.csv', 'w').write('a,b\\n1,2')")
    with httpx.Client(headers=hub.headers(), base_url=f"{hub.path('acc_alice', workspace)}/") as client:
        yield client


@pytest.fixture(scope="module")
def server(hub: RunningHub, workspace: str) -> Iterator[httpx.Client]:
    """The control: the same server asked directly on its socket, without the gate."""
    socket = hub.settings.runtime / workspace / "in" / "in.sock"
    transport = httpx.HTTPTransport(uds=str(socket))
    base = f"http://localhost/user/acc_alice/{workspace}/"
    with httpx.Client(headers=hub.headers(), transport=transport, base_url=base) as client:
        yield client


@pytest.mark.parametrize("path", CLOSED_ROUTES)
@pytest.mark.attack(
    what="downloads, exports, views, terminals, checkpoints, metrics and other closed routes",
    route="a browser", layer="gate",
    control="the server behind a gate that judges nothing answers each (test_at_the_gate.py)",
)  # fmt: skip
def test_route_is_closed_at_the_gate(browser: httpx.Client, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 403
    assert answer.json()["code"] == "route_closed"


@pytest.mark.parametrize(
    "path",
    [
        "files%2Fdata.csv",
        "%66iles/..%2fdata.csv",
        "lab/../files/data.csv",
        "lab//..//files/data.csv",
        "files%252fdata.csv",
    ],
)
@pytest.mark.attack(
    what="closed routes spelled in two readings",
    route="a raw connection", layer="gate",
    control="plain spellings of open routes pass (test_file_asked_as_a_folder_stays_inside)",
)  # fmt: skip
def test_path_that_reads_in_two_ways_is_refused(hub: RunningHub, workspace: str, path: str) -> None:
    # By hand: a client would tidy the path up before it is sent.
    import socket

    with socket.create_connection(("127.0.0.1", hub.settings.bind_port)) as raw:
        raw.sendall(
            f"GET /user/acc_alice/{workspace}/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Authorization: token {hub.token}\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] in {b"400", b"403"}


@pytest.mark.attack(
    what="a file asked as a folder",
    route="a browser", layer="gate",
    control="a notebook asked as one is given",
)  # fmt: skip
def test_file_asked_as_a_folder_stays_inside(browser: httpx.Client) -> None:
    assert browser.get("api/contents/data.csv").status_code in {400, 403}
    assert browser.get("api/contents/first-look.ipynb?type=notebook&content=1").status_code == 200


@pytest.mark.attack(
    what="files, views, exports",
    route="the server's socket, past the gate", layer="server",
    control="a notebook is given by the same socket",
)  # fmt: skip
def test_server_itself_refuses_files_as_second_layer(server: httpx.Client) -> None:
    assert server.get("api/contents/first-look.ipynb?type=notebook").status_code == 200
    for path in ("files/data.csv", "view/data.csv", "api/contents/data.csv", "nbconvert/html/first-look.ipynb"):
        assert server.get(path).status_code in {403, 404}, path


@pytest.mark.works
def test_server_answers_beyond_the_gate_so_the_gate_is_what_closes(server: httpx.Client) -> None:
    """The control of the closed routes: with the gate away, the server does answer them."""
    assert server.get("api/spec.yaml").status_code == 200
    assert server.get("metrics").status_code == 200


@pytest.mark.attack(
    what="rows in a file named as a notebook",
    route="code in a kernel, then the contents API", layer="server",
    control="a valid notebook is given (test_file_asked_as_a_folder_stays_inside)",
)  # fmt: skip
def test_file_renamed_to_a_notebook_is_not_handed_out(hub: RunningHub, workspace: str, browser: httpx.Client) -> None:
    hub.run_code("acc_alice", workspace, "open('notebooks/rows.ipynb', 'w').write('a,b\\n' + '1,2\\n' * 100)")
    answer = browser.get("api/contents/rows.ipynb?type=notebook&content=1")
    assert answer.status_code >= 400
    assert "1,2" not in answer.text


@pytest.mark.attack(
    what="a link to a release named as a notebook",
    route="code in a kernel, then the contents API", layer="mount without links",
    control="a plain notebook is given",
)  # fmt: skip
def test_link_to_data_is_not_followed_as_a_notebook(hub: RunningHub, workspace: str, browser: httpx.Client) -> None:
    code = "import os; os.symlink('/data/social_insurance/part-0.parquet', 'notebooks/linked.ipynb')"
    hub.run_code("acc_alice", workspace, code)
    assert browser.get("api/contents/linked.ipynb?type=notebook&content=1").status_code >= 400


@pytest.mark.attack(
    what="rows kept in settings and workspaces of JupyterLab",
    route="a browser", layer="gate",
    control="the server behind a gate that judges nothing takes them (test_at_the_gate.py)",
)  # fmt: skip
def test_settings_written_back_are_swallowed(browser: httpx.Client) -> None:
    rows = {"raw": "{}", "rows": "x" * 1000}
    for path in ("lab/api/workspaces/mine", "lab/api/settings/@jupyterlab/apputils-extension:themes"):
        assert browser.put(path, json=rows).status_code == 204
        assert "xxxx" not in browser.get(path).text


@pytest.mark.attack(
    what="a notebook above 16 MiB",
    route="a browser", layer="gate",
    control="a smaller one is saved (tests/integration/workspaces/test_hub.py)",
)  # fmt: skip
def test_large_body_is_refused(browser: httpx.Client) -> None:
    notebook = {"type": "notebook", "content": {"cells": [], "metadata": {"x": "y" * (17 * 1024**2)}}}
    assert browser.put("api/contents/large.ipynb", json=notebook).status_code == 413


@pytest.mark.attack(
    what="the account of what was shown, asked without a session",
    route="any client", layer="gate",
    control="with the session it is told",
)  # fmt: skip
def test_what_was_shown_is_told_to_those_whom_the_server_knows(
    hub: RunningHub, workspace: str, browser: httpx.Client
) -> None:  # fmt: skip
    before = settled_count(hub, workspace)
    for route in ("shuzha/budget", "shuzha/status"):
        assert browser.get(route).status_code == 200
        url = f"{hub.path('acc_alice', workspace)}/{route}"
        for headers in ({}, {"Cookie": "a=b"}, {"Authorization": "token guessed"}):
            answer = httpx.get(url, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "not_signed_in")
    assert settled_count(hub, workspace) == before, "it costs nothing of what it tells"


def settled_count(hub: RunningHub, workspace: str) -> int:
    """Return what is written down as shown once it stands still: the gate writes four times a second."""
    seen = [-1]

    def stands_still() -> bool:
        time.sleep(0.6)
        seen.append(count_of(hub, workspace))
        return seen[-1] == seen[-2]

    wait_until(stands_still, 20, "the count to stand still")
    return seen[-1]


def count_of(hub: RunningHub, workspace: str, traffic: str = "") -> int:
    """Return the bytes that the gate has written down as shown, of one class or of all."""
    with sqlite3.connect(f"file:{hub.settings.usage}?mode=ro", uri=True) as store:
        rows = store.execute(
            "select sum(shown) from screen_usage where workspace = ?1 and (?2 = '' or traffic = ?2)",
            (workspace, traffic),
        )
        return int(rows.fetchone()[0] or 0)


@pytest.mark.attack(
    what="rows shown as notebooks' contents",
    route="the contents API", layer="gate",
    control="the count before and after",
)  # fmt: skip
def test_contents_are_counted_against_the_screen(hub: RunningHub, workspace: str, browser: httpx.Client) -> None:
    before = count_of(hub, workspace, "contents")
    size = len(browser.get("api/contents/first-look.ipynb?type=notebook&content=1").content)
    wait_until(lambda: count_of(hub, workspace, "contents") - before >= size, 5, "the count of contents")


VOLUME = 100_000
_SEND = (
    "k = get_ipython().kernel; k.session.send(k.iopub_socket, '{kind}', {content}, parent=k.get_parent('shell'){more})"
)
WAYS = {
    "a table printed in pieces": ("for n in range(200): print(n, 'x' * 500, flush=True)", {}),
    "an image in base64": ("display({'image/png': 'x' * 100_000}, raw=True)", {}),
    "HTML": ("display({'text/html': 'x' * 100_000}, raw=True)", {}),
    "an error's text": ("raise ValueError('x' * 100_000)", {}),
    "a widget's messages": ("import comm; comm.create_comm(target_name='t', data={'rows': 'x' * 100_000})", {}),
    "status messages": (_SEND.format(kind="status", content="{'execution_state': 'x' * 100_000}", more=""), {}),
    "messages of no known kind": (_SEND.format(kind="anything", content="{'rows': 'x' * 100_000}", more=""), {}),
    "binary buffers": (_SEND.format(kind="display_data", content="{}", more=", buffers=[b'x' * 100_000]"), {}),
    "the reply to a cell": ("1", {"user_expressions": {"rows": "'x' * 100_000"}}),
    "the reply to completion": (
        "globals().update({f'zz{n}' + 'x' * 900: 1 for n in range(120)})",
        {"kind": "complete_request", "content": {"code": "zz", "cursor_pos": 2}},
    ),
    "the reply to inspection": (
        "def shown(): pass\nshown.__doc__ = 'x' * 100_000",
        {"kind": "inspect_request", "content": {"code": "shown", "cursor_pos": 5, "detail_level": 0}},
    ),
    "the reply about history": (
        "get_ipython().history_manager.store_inputs(1, 'x' * 100_000)",
        {"kind": "history_request", "content": {"hist_access_type": "tail", "n": 5, "raw": True, "output": False}},
    ),
}


async def show(hub: RunningHub, workspace: str, way: str) -> tuple[int, int | None]:
    """Go one way and return the bytes that came to the browser, and the code with which the gate closed, if it did."""
    code, more = WAYS[way]
    base = hub.path("acc_alice", workspace)
    async with aiohttp.ClientSession(headers=hub.headers()) as session:
        kernel = hub._kernels[workspace]
        url, seen = f"{base}/api/kernels/{kernel}/channels?session_id=attack", 0
        async with asyncio.timeout(30), session.ws_connect(url, max_msg_size=0) as channel:
            steps = [("execute_request", {"code": code, "silent": False, "store_history": False})]
            steps[0][1].update({"user_expressions": more.get("user_expressions", {}), "allow_stdin": False})
            if "kind" in more:
                steps.append((more["kind"], more["content"]))
            for kind, content in steps:
                identity = uuid.uuid4().hex
                header = {"msg_id": identity, "msg_type": kind, "username": "t", "session": "attack", "version": "5.3"}
                body = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "buffers": []}
                await channel.send_json({**body, "channel": "shell"})
                awaited = {"idle", "reply"}
                while awaited:
                    message = await channel.receive()
                    if message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                        return seen, channel.close_code
                    seen += len(message.data)
                    if message.type is aiohttp.WSMsgType.TEXT:
                        awaited -= _ends(message.json(), identity)
    return seen, None


def _ends(body: dict[str, Any], identity: str) -> set[str]:
    """Return which of its two ends a message is to the request of `identity`."""
    if body["parent_header"].get("msg_id") != identity:
        return set()
    if body["msg_type"].endswith("_reply"):
        return {"reply"}
    return {"idle"} if body["content"].get("execution_state") == "idle" else set()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.attack(
    what="volume by print, image, HTML, error text, widget, status, unknown messages, buffers, replies",
    route="a kernel's websocket", layer="gate",
    control="with a large budget every byte comes",
)  # fmt: skip
def test_volume_is_counted_and_stopped_by_whatever_way_it_goes(hub: RunningHub, workspace: str, way: str) -> None:
    hub.controls.set_budget(workspace, 2**40)
    hub.run_code("acc_alice", workspace, "1")
    try:
        before = count_of(hub, workspace, "kernelws")
        seen, code = asyncio.run(show(hub, workspace, way))
        assert (seen >= VOLUME, code) == (True, None), "the control: within its budget it comes"
        wait_until(lambda: count_of(hub, workspace, "kernelws") - before >= seen, 5, "the count of what was shown")
        hub.controls.set_budget(workspace, count_of(hub, workspace) + VOLUME // 5)
        time.sleep(0.3)  # The gate reads its orders ten times a second.
        seen, code = asyncio.run(show(hub, workspace, way))
        assert (seen < VOLUME // 4, code) == (True, 4429)
    finally:
        hub.controls.set_budget(workspace, 2**40)
        time.sleep(0.3)


@pytest.mark.attack(
    what="a lasting token, a share, other users",
    route="the hub's API with a session", layer="hub",
    control="the person's own record is given",
)  # fmt: skip
def test_a_person_makes_no_token_that_outlives_his_session(hub: RunningHub, workspace: str) -> None:
    with httpx.Client(base_url=hub.url, follow_redirects=True) as person:
        login = re.search(r'name="_xsrf" value="([^"]+)"', person.get("/hub/login").text)
        assert login is not None
        form = {"username": "acc_alice", "password": PASSWORD, "_xsrf": login[1]}
        assert person.post("/hub/login", data=form, headers={"Referer": f"{hub.url}/hub/login"}).status_code == 200
        (xsrf,) = {cookie.value for cookie in person.cookies.jar if cookie.name == "_xsrf" and cookie.path == "/hub/"}
        browser = {"X-XSRFToken": xsrf, "Referer": f"{hub.url}/hub/home"}
        assert person.get("/hub/api/users/acc_alice", headers=browser).status_code == 200, "the control: signed in"
        made = person.post("/hub/api/users/acc_alice/tokens", json={"note": "for later"}, headers=browser)
        assert made.status_code in {403, 404}, made.text
        shared = person.post(f"/hub/api/shares/acc_alice/{workspace}", json={"user": "acc_bob"}, headers=browser)
        assert shared.status_code in {403, 404}
        assert person.get("/hub/api/users", headers=browser).status_code == 403
        assert person.get("/hub/api/users/acc_bob", headers=browser).status_code == 404


ODD = """
import os, socket
os.chdir("/home/analyst/notebooks")
os.mkfifo("pipe.ipynb")
socket.socket(socket.AF_UNIX).bind("socket.ipynb")
with open("sparse.ipynb", "w") as file: file.truncate(2**31)
with open("deep.ipynb", "w") as file: file.write("[" * 2_000_000)
with open(b"\\xff\\xfe.ipynb", "w") as file: file.write("{}")
"""
ODD_NAMES = ("pipe.ipynb", "socket.ipynb", "sparse.ipynb", "deep.ipynb", "%FF%FE.ipynb")


@pytest.mark.attack(
    what="a pipe, a socket, a sparse file of 2 GiB, very deep JSON, a name in no alphabet, each named as a notebook",
    route="code in a kernel, then the contents API and a submission", layer="server",
    control="a plain notebook beside them is given, and read",
)  # fmt: skip
def test_odd_file_named_as_a_notebook_holds_nobody_up(hub: RunningHub, workspace: str, browser: httpx.Client) -> None:
    assert inside(hub, workspace, ODD)[0] == "reached"
    said = {name: browser.get(f"api/contents/{name}?content=1", timeout=5).status_code for name in ODD_NAMES}
    assert said == {name: 413 if name == "sparse.ipynb" else 400 for name in ODD_NAMES}
    for name in ODD_NAMES[:3]:
        with pytest.raises(NotFound):
            hub.jailer().read_notebook(workspace, name)
    assert browser.get("api/contents/first-look.ipynb?content=1", timeout=5).status_code == 200, "the control"
    assert hub.jailer().read_notebook(workspace, "first-look.ipynb")
    take = 'import os\nos.chdir("/home/analyst/notebooks")\nfor name in {!r}: os.remove(name)'
    inside(hub, workspace, take.format([b"\xff\xfe.ipynb", *(name.encode() for name in ODD_NAMES[:4])]))

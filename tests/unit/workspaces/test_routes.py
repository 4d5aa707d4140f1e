"""What a browser may ask of a workspace: closed unless a line opens it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.workspaces.routes import Action, Address, Traffic, judge, parse_address

KERNEL = "api/kernels/0f6b1c1e-5e0c-4a52-9f6a-6d1b0a0c7d11"


def ask(method: str, rest: str, query: str = "", *, websocket: bool = False):
    return judge(method, Address("u-zhao", "w-one", rest), query, websocket=websocket)


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""), ("GET", "lab"), ("GET", "lab/tree/first-look.ipynb"), ("GET", "oauth_callback"), ("GET", "api/me"),
        ("POST", "api/kernels"), ("GET", KERNEL), ("DELETE", KERNEL), ("POST", f"{KERNEL}/interrupt"),
        ("POST", "api/sessions"), ("PATCH", "api/sessions/1a"), ("GET", "api/contents"), ("GET", "api/contents/folder"),
        ("PUT", "api/contents/a.ipynb"), ("POST", "api/contents"), ("GET", "api/contents/a.ipynb/checkpoints"),
        ("POST", "api/contents/a.ipynb/checkpoints"), ("GET", "lab/api/settings"), ("GET", "api/kernelspecs"),
    ],
)  # fmt: skip
def test_judge_passes_what_jupyterlab_needs(method: str, rest: str) -> None:
    assert ask(method, rest).action is Action.PASS


@pytest.mark.parametrize(
    ("method", "rest", "query"),
    [
        ("GET", "files/a.ipynb", ""), ("GET", "view/a.ipynb", ""), ("GET", "nbconvert/html/a.ipynb", ""),
        ("GET", "terminals/1", ""), ("POST", "api/terminals", ""),
        ("GET", "lsp/status", ""),
        ("GET", "metrics", ""), ("POST", "api/shutdown", ""), ("GET", "tree", ""), ("GET", "custom/custom.css", ""),
        ("GET", "api/contents/a.ipynb", "format=base64"), ("GET", "api/contents/a.csv", "type=file&content=1"),
        ("PUT", "api/contents/a.csv", ""), ("GET", "api/contents/a.ipynb/checkpoints/1", ""),
        ("POST", "api/contents/a.ipynb/checkpoints/1", ""), ("GET", f"{KERNEL}/channels", ""),
        ("PUT", "api/kernels", ""),
        ("GET", "api/contents/a.csv/checkpoints", ""), ("TRACE", "lab", ""), ("GET", "api/events", ""),
    ],
)  # fmt: skip
def test_judge_refuses_what_hands_out_bytes(method: str, rest: str, query: str) -> None:
    verdict = ask(method, rest, query)
    assert verdict.action is Action.REFUSE
    assert verdict.reason


def test_judge_passes_websockets_of_kernels_and_events_only() -> None:
    assert ask("GET", f"{KERNEL}/channels", websocket=True).traffic is Traffic.KERNEL
    assert ask("GET", "api/events/subscribe", websocket=True).action is Action.PASS
    for rest in ("terminals/websocket/1", "lsp/ws/python", "api/contents", "lab", "proxy/8000"):
        assert ask("GET", rest, websocket=True).action is Action.REFUSE


def test_judge_asks_for_anything_but_a_notebook_as_a_folder() -> None:
    assert ask("GET", "api/contents/data.csv", "content=1&hash=0").query == "content=1&hash=0&type=directory"
    assert ask("GET", "api/contents/data.csv", "type=notebook").query == "type=directory"
    assert ask("GET", "api/contents/a.ipynb", "type=notebook").query is None


def test_judge_swallows_what_would_come_back_as_written() -> None:
    for rest in ("lab/api/workspaces/mine", "lab/api/settings/x"):
        assert ask("PUT", rest).action is Action.ABSORB
    assert ask("GET", "api/config/notebook").body == "{}"
    assert ask("GET", "api/nbconvert").body == "{}", "the page learns that there is no format to export to"


def test_judge_answers_the_front_end_from_the_gates_own_disk() -> None:
    for rest in ("static/lab/main.js", "lab/extensions/x/static/y.js", "kernelspecs/python3/logo-64x64.png"):
        assert ask("GET", rest).action is Action.STATIC


@given(st.text(max_size=60), st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]))
def test_judge_never_fails(rest: str, method: str) -> None:
    assert ask(method, rest).action in Action


@pytest.mark.parametrize(
    "path",
    [
        "/user/u/w/../files/a", "/user/u/w/%2e%2e/files", "/user/u/w/a%2fb", "/user/u/w/a%5cb", "/user/u/w//files",
        "/user/u/w/%252e%252e/x", "/user/u/w/a%00", "/user/u/w/%ff",
    ],
)  # fmt: skip
def test_address_refuses_a_path_that_reads_in_two_ways(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|decode"):
        parse_address(path)


def test_address_names_user_workspace_and_rest() -> None:
    assert parse_address("/user/u-zhao/w-one/lab/tree/%E5%88%9D.ipynb") == Address(
        "u-zhao", "w-one", "lab/tree/初.ipynb"
    )
    assert parse_address("/user/u-zhao/w-one/") == Address("u-zhao", "w-one", "")
    assert parse_address("/hub/home") is None

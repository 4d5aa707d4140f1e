"""What a browser may ask of a workspace: closed unless a line opens it."""

from __future__ import annotations

import posixpath
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.escape import url_unescape
from tornado.httputil import HTTPServerRequest
from yarl import URL

from sandbox.workspaces.gate import pages
from sandbox.workspaces.gate.head import BadHead, check_head, split_target
from sandbox.workspaces.gate.routes import Action, Address, Traffic, describe_rules, judge, parse_address
from sandbox.workspaces.gate.upstream import RouteTable

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
        ("GET", "api/contents/a.ipynb", "format=base64%20"), ("GET", "api/contents/a.ipynb", "type=%01file"),
        ("GET", "api/contents/a.ipynb", "type=notebook&type=file"), ("GET", "api/contents/a.csv", "type=FILE"),
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
    assert ask("GET", "api/contents/a.ipynb", "type=notebook&1700000000000").query == "type=notebook"


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


# --- two readers ----------------------------------------------------------------------------------------------------

_TRICKS = st.sampled_from([
    "..", ".", "%2e", "%2E%2e", "%2f", "%5c", "\\", "%252f", "//", "/", "%00", "%0a", "%c0%af", "%ff", ";", ";x", "?",
    "#",    "%3f", "%23", "%25", "%2e%2e%2f", "files", "%66iles", "api", "contents", "a.ipynb",
    "a.ipynb%20", "user", "u-zhao",
    "w-one", "%75", "初", "%E5%88%9D", "@", "+", "%2B", "~", "lab", "static", "channels", "\t", " ", "%7f", "*",
    "&", "=",
])  # fmt: skip
_PATHS = st.lists(_TRICKS, max_size=9).flatmap(
    lambda parts: st.lists(st.sampled_from(["/", ""]), min_size=len(parts), max_size=len(parts)).map(
        lambda glue: "/user/u-zhao/w-one/" + "".join(a + b for a, b in zip(parts, glue, strict=True))
    )
)


def read_by_gate(target: str) -> tuple[Address, str] | None:
    """Return what the gate takes a target to mean, None where it refuses it."""
    try:
        path, query = split_target(target)
        address = parse_address(path)
    except (BadHead, ValueError):
        return None
    return None if address is None else (address, query)


@given(_PATHS)
def test_two_readers_of_a_path_that_passes_never_differ(target: str) -> None:
    table = RouteTable("http://hub")
    table.put("/user/u-zhao/w-one", "http://workspace", {})
    read = read_by_gate(target)
    if read is None:
        return
    address, _ = read
    route = table.find(target.partition("?")[0])
    assert route is not None
    if route.prefix != f"/user/{address.user}/{address.workspace}":
        return  # The gate refuses it then.
    sent = str(URL(f"http://localhost{address.path}", encoded=True).raw_path)
    behind = HTTPServerRequest(method="GET", uri=sent)
    assert behind.path == address.path == sent, "what is judged is what is sent"
    plain = f"/user/{address.user}/{address.workspace}/{address.rest}"
    assert url_unescape(behind.path, plus=False) == unquote(sent) == plain
    assert posixpath.normpath(plain) == plain.rstrip("/"), "nothing is left to be resolved"
    again = parse_address(sent)
    assert again == address, "what is sent reads the same once more"


@given(st.text(max_size=40), st.sampled_from(["", "?x=1", "?a=b%20c"]))
def test_plain_name_of_a_file_passes_in_any_spelling(name: str, query: str) -> None:
    read = read_by_gate(f"/user/u-zhao/w-one/lab/tree/{quote(name, safe='')}{query}")
    if read is not None:
        assert read[0].rest == f"lab/tree/{name}"


_QUERIES = st.lists(
    st.tuples(
        st.sampled_from(["type", "format", "content", "hash", "type ", "%74ype", "x"]),
        st.sampled_from(
            ["file", "notebook", "base64", "base64%20", "%01file", "1", "", "text", "%66ile", "json", "a;b"]
        ),
    ),
    max_size=4,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))


@given(_QUERIES, st.sampled_from(["a.ipynb", "folder", "data.csv"]))
def test_two_readers_of_a_query_for_contents_never_differ(query: str, name: str) -> None:
    verdict = judge("GET", Address("u", "w", f"api/contents/{name}"), query, websocket=False)
    if verdict.action is Action.REFUSE:
        return
    assert verdict.query is not None
    behind = HTTPServerRequest(method="GET", uri=f"/x?{verdict.query}")
    read = {name: [value.decode().strip() for value in values] for name, values in behind.arguments.items()}
    assert all(len(values) == 1 for values in read.values())
    assert set(read.get("type", [])) <= {"notebook", "directory"}
    assert set(read.get("format", [])) <= {"json"}


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/user/u/w/lab", "//user/u/w/lab", "*", "user/u/w", "/user/u/w/a b", "/user/u/w/a\\b",
        "/user/u/w/%zz", "/user/u/w/%2", "/a/../b", "/a/%2e%2e/b", "/user/u/w/lab#x", "/user/u/w/初", "/x?a b",
        "/x?a#b",        "localhost:443", "", "/user/u/w/<script>", "/x?a=\x7f",
    ],
)  # fmt: skip
def test_target_of_another_form_is_refused(target: str) -> None:
    with pytest.raises(BadHead):
        split_target(target)


def head(*lines: str) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.strip().encode()) for name, _, value in (line.partition(":") for line in lines)]


@pytest.mark.parametrize(
    ("method", "lines"),
    [
        ("TRACE", ["Host: a"]), ("CONNECT", ["Host: a"]), ("get", ["Host: a"]), ("PROPFIND", ["Host: a"]),
        ("GET", []), ("GET", ["Host: a", "Host: b"]), ("GET", ["Host: a, b"]), ("GET", ["Host: a/b"]),
        ("GET", ["Host: user@a"]), ("POST", ["Host: a", "Content-Length: 1", "Content-Length: 1"]),
        ("POST", ["Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"]),
        ("POST", ["Host: a", "Transfer-Encoding: gzip, chunked"]), ("POST", ["Host: a", "Transfer-Encoding: identity"]),
        ("POST", ["Host: a", "Transfer-Encoding: chunked", "transfer-encoding: x"]),
        ("POST", ["Host: a", "Content-Length: +1"]), ("POST", ["Host: a", "Content-Length: 0x1"]),
        ("GET", ["Host: a", "Upgrade: websocket", "Upgrade: h2c"]),
        ("GET", ["Host: a", "Authorization: a", "authorization: b"]),
    ],
)  # fmt: skip
def test_head_that_could_be_read_in_two_ways_is_refused(method: str, lines: list[str]) -> None:
    with pytest.raises(BadHead):
        check_head(method, (1, 1), head(*lines))


def test_head_of_a_browser_passes() -> None:
    check_head("GET", (1, 1), head("Host: sandbox.city.cn:8002", "Cookie: a=1", "Cookie: b=2", "Accept: */*"))
    check_head("POST", (1, 1), head("Host: [::1]:80", "Transfer-Encoding: chunked"))
    check_head("GET", (1, 0), [])
    with pytest.raises(BadHead):
        check_head("GET", (0, 9), [])


# --- the reference page ---------------------------------------------------------------------------------------------


def test_reference_page_has_every_rule_and_every_refusal() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/gate.md").read_text("utf-8")
    rules = describe_rules()
    assert "\n".join(rules) in page
    made = [
        pages.suspended("x"), pages.orders_unknown(), pages.budget_used(0), pages.cannot_count(), pages.stranger(),
        pages.coded_answer(),
        pages.too_many(48), pages.bad_request("x"),
        pages.too_slow(), pages.closed_route("x"), pages.bad_path("x"),
        pages.too_large(1), pages.unreachable(),
    ]  # fmt: skip
    for refusal in made:
        assert f"| {refusal.status} | `{refusal.code}` |" in page

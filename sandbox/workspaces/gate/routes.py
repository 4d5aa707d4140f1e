"""Which requests a workspace's browser may make: an allow-list over methods and paths, closed by default.

`judge` is pure: the gate asks it before any byte goes to the jail. Whatever hands out bytes that are no notebook (file
download, export, view, terminals, settings that come back as written) is not on the list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, quote, unquote, urlencode


class Action(StrEnum):
    """What the gate does with a request: hand it on, answer from its own disk, swallow it, refuse it."""

    PASS = "pass"  # noqa: S105 - not a password
    STATIC = "static"
    OWN = "own"
    ABSORB = "absorb"
    REFUSE = "refuse"


class Traffic(StrEnum):
    """The classes in which bytes are counted."""

    KERNEL = "kernelws"
    CONTENTS = "contents"
    HTTP = "http"


_IN_NAME = "@~"
_IN_REST = "/@~!*'(),;:=+$&"


@dataclass(frozen=True, slots=True)
class Address:
    """A path taken apart: whose server, which workspace, and the rest of the path, decoded."""

    user: str
    workspace: str
    rest: str

    @property
    def path(self) -> str:
        """The path in its one plain spelling, as it is handed on: the server reads what was judged, and nothing else.

        Letters, digits and `-._~` are never escaped in it, whatever the browser did.
        """
        head = f"/user/{quote(self.user, safe=_IN_NAME)}/{quote(self.workspace, safe=_IN_NAME)}"
        return f"{head}/{quote(self.rest, safe=_IN_REST)}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer to one request; `query` replaces the request's, `body` is the answer of an absorbed one."""

    action: Action
    traffic: Traffic = Traffic.HTTP
    reason: str = ""
    query: str | None = None
    body: str | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    methods: frozenset[str]
    pattern: re.Pattern[str]
    verdict: Verdict
    websocket: bool = False


def _rule(methods: str, pattern: str, verdict: Verdict, *, websocket: bool = False) -> _Rule:
    return _Rule(frozenset(methods.split()), re.compile(pattern), verdict, websocket)


_ID = r"[0-9a-zA-Z-]{1,64}"
_PASS = Verdict(Action.PASS)
_STATIC = Verdict(Action.STATIC)
_KERNEL = Verdict(Action.PASS, Traffic.KERNEL)
_SWALLOW = Verdict(Action.ABSORB)

BUDGET = "shuzha/budget"
STATUS = "shuzha/status"
"""The gate's own routes beneath a workspace, as JSON: its screen budget, and all that its panel shows."""

RULES = (
    _rule("GET HEAD", r"", _PASS),
    _rule("GET", r"lab(/tree(/.*)?|/workspaces(/.*)?|/doc(/.*)?)?", _PASS),
    _rule("GET", r"oauth_callback|login|logout", _PASS),
    _rule("GET HEAD", r"static/.+|lab/extensions/.+|lab/api/themes/.+|kernelspecs/[\w.-]+/[\w.-]+", _STATIC),
    _rule("GET", r"api/?|api/me|api/status|api/kernelspecs(/[\w.-]+)?", _PASS),
    _rule("GET POST", r"api/kernels|api/sessions", _PASS),
    _rule("GET DELETE", rf"api/kernels/{_ID}", _PASS),
    _rule("POST", rf"api/kernels/{_ID}/(interrupt|restart)", _PASS),
    _rule("GET", rf"api/kernels/{_ID}/channels", _KERNEL, websocket=True),
    _rule("GET PATCH DELETE", rf"api/sessions/{_ID}", _PASS),
    _rule("GET", r"api/events/subscribe", _PASS, websocket=True),
    _rule("GET", r"lab/api/(settings|workspaces|translations|listings)(/.*)?", _PASS),
    _rule("PUT POST DELETE", r"lab/api/(settings|workspaces)(/.*)?", _SWALLOW),
    _rule("GET", r"api/config/\w+", Verdict(Action.ABSORB, body="{}")),
    _rule("GET", r"lab/api/extensions", Verdict(Action.ABSORB, body="[]")),
    _rule("GET", r"api/nbconvert", Verdict(Action.ABSORB, body="{}")),
    _rule("GET", f"{BUDGET}|{STATUS}", Verdict(Action.OWN)),
)
"""Every route but the contents API, which `_judge_contents` decides by what is asked for."""

_CONTENTS_QUERY = {
    "content": frozenset({"0", "1"}),
    "hash": frozenset({"0", "1"}),
    "type": frozenset({"notebook", "directory"}),
    "format": frozenset({"json"}),
}
_NOTEBOOK = ".ipynb"
_NOTEBOOKS_ONLY = (
    "only notebooks (.ipynb) and folders of them pass between a workspace and a browser; a file of your own is brought"
    " in on the workspace's page in the portal, under Own files"
    " / 浏览器与工作区之间只传笔记本；自有文件请在门户的工作区页面导入"
)


def parse_address(path: str) -> Address | None:
    """Return the workspace that the raw path `/user/NAME/WORKSPACE/...` means, None when it means none.

    Raises ValueError for a path that two readers could read differently (.., //, encoded slashes, double encoding).
    """
    if not path.startswith("/user/"):
        return None
    segments = [unquote(segment, errors="strict") for segment in path.split("/")[2:]]
    for place, segment in enumerate(segments):
        if segment in {".", ".."} or (not segment and place < len(segments) - 1):
            raise ValueError("the path has an empty, . or .. segment")
        if re.search(r"[/\\\x00-\x1f\x7f]|%[0-9a-fA-F]{2}", segment):
            raise ValueError("the path has an encoded separator or is encoded twice")
    if len(segments) < 2:
        return Address(segments[0], "", "")
    return Address(segments[0], segments[1], "/".join(segments[2:]))


def judge(method: str, address: Address, query: str, *, websocket: bool) -> Verdict:
    """Return what to do with a request to a workspace; what no rule names is refused."""
    rest = address.rest
    if rest == "api/contents" or rest.startswith("api/contents/"):
        return _refuse("no websocket is served here") if websocket else _judge_contents(method, rest[13:], query)
    for rule in RULES:
        if method in rule.methods and rule.websocket is websocket and rule.pattern.fullmatch(rest):
            return rule.verdict
    return _refuse("this route of a workspace is closed: what it hands out leaves only by an export request")


def _judge_contents(method: str, path: str, query: str) -> Verdict:
    """Decide by what is asked for; the query goes on in a form that no two readers read differently.

    What it may say is an allow-list of names and values: a server that strips spaces would read `base64%20` as base64.
    """
    asked = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name in _CONTENTS_QUERY]
    if any(value not in _CONTENTS_QUERY[name] for name, value in asked):
        return _refuse(_NOTEBOOKS_ONLY)
    kept = dict(asked)
    if "/checkpoints" in path:
        stem, _, rest = path.rpartition("/checkpoints")
        if method in {"GET", "POST"} and stem.endswith(_NOTEBOOK) and not rest:
            return _contents(kept)
        return _refuse("checkpoints can be made and listed, and not handed out")
    if path.endswith(_NOTEBOOK):
        if method in {"GET", "PUT", "PATCH", "DELETE", "POST"}:
            return _contents(kept)
        return _refuse("this method is not used on notebooks")
    if method == "GET":
        # Anything but a notebook is asked for as a folder: the server then refuses a file.
        folder = {name: value for name, value in kept.items() if name not in {"type", "format"}}
        return _contents({**folder, "type": "directory"})
    if method in {"POST", "PATCH", "DELETE"}:
        return _contents(kept)
    return _refuse(_NOTEBOOKS_ONLY)


def _contents(query: dict[str, str]) -> Verdict:
    return Verdict(Action.PASS, Traffic.CONTENTS, query=urlencode(query))


def describe_rules() -> list[str]:
    """Return a Markdown table row for each rule, for the reference page; a test holds the page to it."""
    said = {
        Action.PASS: "handed on", Action.STATIC: "from the gate's disk", Action.OWN: "the gate's own answer",
        Action.ABSORB: "swallowed",
    }  # fmt: skip
    rows = []
    for rule in RULES:
        methods = "websocket" if rule.websocket else " ".join(sorted(rule.methods))
        counted = f"`{rule.verdict.traffic}`" if rule.verdict.action is Action.PASS else "-"
        pattern = rule.pattern.pattern.replace("|", "\\|") or "$"
        rows.append(f"| {methods} | `{pattern}` | {said[rule.verdict.action]} | {counted} |")
    return rows


def _refuse(reason: str) -> Verdict:
    return Verdict(Action.REFUSE, reason=reason)

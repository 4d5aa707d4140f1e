"""Whether a request's head says one thing only: refused here is whatever two servers in a row could read differently.

The parser (llhttp, strict) refuses a content length beside chunks, two lengths, folded and malformed lines by itself;
this module holds what it lets through. Pure, over the raw head.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PATH = re.compile(r"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(r"[!\"$-~]*")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_ONCE = frozenset({
    b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding", b"authorization",
    b"upgrade", b"expect", b"sec-websocket-key", b"sec-websocket-version", b"origin",
})  # fmt: skip


class BadHead(ValueError):
    """A head that is refused; the message says which rule it breaks, and never what it said."""


def split_target(target: str) -> tuple[str, str]:
    """Return path and query of a request's target, both as they were sent.

    Refuses the absolute, authority and asterisk forms (this is no forward proxy), a path that begins with two slashes,
    has dot segments, or a character that RFC 3986 does not allow, and a fragment.
    """
    path, _, query = target.partition("?")
    if not _PATH.fullmatch(path) or path.startswith("//"):
        raise BadHead("the target is not a plain path")
    if not _QUERY.fullmatch(query):
        raise BadHead("the query has a character that a query does not have")
    if any(unquote(segment) in {".", ".."} for segment in path.split("/")):
        raise BadHead("the path has a . or .. segment")
    return path, query


def check_head(method: str, version: tuple[int, int], headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise BadHead for a head that could be read in two ways, and for methods that nothing here answers."""
    if method not in METHODS:
        raise BadHead("the method is not one of " + ", ".join(sorted(METHODS)))
    seen: dict[bytes, bytes] = {}
    for raw, value in headers:
        name = raw.lower()
        if name in seen and name in _ONCE:
            raise BadHead("a header that may stand once stands twice")
        seen[name] = value
    if version not in {(1, 0), (1, 1)}:
        raise BadHead("the version is not HTTP/1.0 or HTTP/1.1")
    host = seen.get(b"host")
    if host is None and version == (1, 1):
        raise BadHead("there is no Host")
    if host is not None and not _HOST.fullmatch(host.decode("latin-1")):
        raise BadHead("the Host is not a name and a port")
    _check_length(seen, version)


def _check_length(seen: dict[bytes, bytes], version: tuple[int, int]) -> None:
    coding, length = seen.get(b"transfer-encoding"), seen.get(b"content-length")
    if coding is not None and (length is not None or coding.strip().lower() != b"chunked" or version != (1, 1)):
        raise BadHead("the body's length is told in two ways, or in one that is not used here")
    if length is not None and not re.fullmatch(rb"[0-9]{1,18}", length):
        raise BadHead("the body's length is not a number")

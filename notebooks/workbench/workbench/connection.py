"""The line to the platform: one JSON line there, one back, over the workspace's own socket."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from workbench.errors import WorkbenchError
from workbench.place import platform_socket
from workbench.progress import Progress

_SECONDS = 130.0
_TICK_SECONDS = 0.5
_MOST_BYTES = 16 * 1024 * 1024
_PIECE = 64 * 1024


def ask(verb: str, **fields: Any) -> Any:
    """Return the platform's answer to a verb; raises WorkbenchError with its reason when it refuses."""
    path = platform_socket()
    if path is None:
        raise WorkbenchError(f"cannot ask `{verb}`: there is no platform here; a clean room works from the data alone")
    request = json.dumps({"verb": verb, **fields}, ensure_ascii=False).encode() + b"\n"
    try:
        with (
            socket.socket(socket.AF_UNIX) as channel,
            Progress(f"{verb}：平台处理中 · the platform works") as progress,
        ):
            channel.settimeout(_TICK_SECONDS)
            channel.connect(str(path))
            channel.sendall(request)
            answer = json.loads(_read_line(channel, progress))
    except (OSError, ValueError):
        raise WorkbenchError(f"cannot ask `{verb}`: the platform does not answer; try again in a moment") from None
    if not answer.get("ok"):
        refused = answer.get("error", {})
        raise WorkbenchError(
            refused.get("message", "the platform refused"), rule=refused.get("rule", ""),
            accepted=refused.get("accepted", ""),
        )  # fmt: skip
    return answer["result"]


def _read_line(channel: socket.socket, progress: Progress) -> bytes:
    """Return all up to the end of the line; ValueError or OSError where it does not come whole and in time."""
    deadline = time.monotonic() + _SECONDS
    pieces = bytearray()
    while not pieces.endswith(b"\n"):
        try:
            piece = channel.recv(_PIECE)
        except TimeoutError:
            if time.monotonic() > deadline:
                raise
            progress.tick()
            continue
        if not piece or len(pieces) > _MOST_BYTES:
            raise ValueError("the answer does not end")
        pieces += piece
    return bytes(pieces)

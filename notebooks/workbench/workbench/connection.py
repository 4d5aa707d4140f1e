"""The line to the platform: one JSON line there, one back, over the workspace's own socket."""

from __future__ import annotations

import json
import socket
from typing import Any

from workbench.errors import WorkbenchError
from workbench.place import platform_socket

_SECONDS = 130
_MOST_BYTES = 16 * 1024 * 1024


def ask(verb: str, **fields: Any) -> Any:
    """Return the platform's answer to a verb; raises WorkbenchError with its reason when it refuses."""
    path = platform_socket()
    if path is None:
        raise WorkbenchError(f"cannot ask `{verb}`: there is no platform here; a clean room works from the data alone")
    request = json.dumps({"verb": verb, **fields}, ensure_ascii=False).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(_SECONDS)
            channel.connect(str(path))
            channel.sendall(request)
            with channel.makefile("rb") as file:
                answer = json.loads(file.readline(_MOST_BYTES))
    except (OSError, ValueError):
        raise WorkbenchError(f"cannot ask `{verb}`: the platform does not answer; try again in a moment") from None
    if not answer.get("ok"):
        refused = answer.get("error", {})
        hint = f" (accepted: {refused['accepted']})" if refused.get("accepted") else ""
        raise WorkbenchError(f"{refused.get('message', 'the platform refused')}{hint}")
    return answer["result"]

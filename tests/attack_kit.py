"""Code that tries something, run in a kernel, beside a workspace's server, and outside; what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import pytest
from workspace_kit import ENVIRONMENT, RunningHub

from sandbox.workspaces.host.limits import Cgroup, CgroupHost, Limits
from sandbox.workspaces.jails import jail

TRY = """
import json
def tries():
{body}
try:
    outcome = ["reached", repr(tries())[:200]]
except BaseException as error:
    outcome = ["refused", type(error).__name__, getattr(error, "errno", None)]
print("OUTCOME" + json.dumps(outcome))
"""


def attack(body: str) -> str:
    return TRY.format(body="\n".join("    " + line for line in body.strip().splitlines()))


BATCH = """
import json
def attempt(body):
    words, lines = {{}}, "\\n".join("    " + line for line in body.strip().splitlines())
    exec("def tries():\\n" + lines, words)
    try:
        words["tries"]()
        return "reached"
    except BaseException as error:
        return " ".join(["refused", type(error).__name__, str(getattr(error, "errno", ""))])
print("OUTCOME" + json.dumps({{name: attempt(body) for name, body in {attempts!r}.items()}}))
"""


def batch(attempts: Mapping[str, str]) -> str:
    """Return code that tries each of `attempts` by itself and says what came of each, for `outcomes`."""
    return BATCH.format(attempts=dict(attempts))


def outcomes(text: str) -> dict[str, str]:
    """Return by name `"reached"`, or `"refused"` with the kind and the number of the error."""
    line = next((line for line in text.splitlines() if line.startswith("OUTCOME")), "")
    assert line, text[-2000:]
    found: dict[str, str] = json.loads(line.removeprefix("OUTCOME"))
    return found


def outcome(text: str) -> list[object]:
    line = next(line for line in text.splitlines() if line.startswith("OUTCOME"))
    found: list[object] = json.loads(line.removeprefix("OUTCOME"))
    return found


def inside(hub: RunningHub, workspace: str, body: str) -> list[object]:
    result = hub.run_code("acc_alice", workspace, attack(body))
    assert not result.error, result.error
    return outcome(result.text)


def beside_the_server(hub: RunningHub, workspace: str, body: str) -> list[object]:
    return outcome(hub.run_in_server_jail(workspace, attack(body)))


def outside(body: str) -> list[object]:
    """The control: the same code on the host, by root."""
    done = subprocess.run([sys.executable, "-c", attack(body)], capture_output=True, text=True, timeout=30, check=True)
    return outcome(done.stdout)


CLOSED_ROUTES = (
    "files/first-look.ipynb", "files/data.csv", "view/first-look.ipynb", "nbconvert/html/first-look.ipynb",
    "api/contents/data.csv?content=1&format=base64&type=file", "api/contents/data.csv?type=file",
    "api/contents/first-look.ipynb?type=file&format=text", "api/contents/first-look.ipynb/checkpoints/checkpoint",
    "api/terminals", "terminals/1", "terminals/websocket/1", "lsp/status", "custom/custom.css", "api/spec.yaml",
    "metrics", "edit/data.csv", "api/shutdown", "proxy/8000/", "proxy/absolute/8000/", "tree",
    "api/contents/first-look.ipynb?format=base64%20", "api/contents/first-look.ipynb?type=%01file",
    "api/contents/first-look.ipynb?type=notebook&type=file", "api/nbconvert/html", "lab/api/news",
)  # fmt: skip
"""What a browser may not ask a workspace's server for."""

# --- one layer removed ------------------------------------------------------------------------------------------------

JAIL_UID = 230_011
PLAIN = Limits(memory_bytes=512 * 1024**2, processes=64, cpu_percent=200)
NO_FILTER = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
"""A program for the kernel that lets every system call through."""


def without_layer(
    patch: pytest.MonkeyPatch, *, more: Sequence[str] = (), swap: Mapping[str, Sequence[str]] | None = None,
    unfiltered: bool = False,
) -> None:  # fmt: skip
    """Have jails built with options of bubblewrap added or exchanged, or without the filter: the control of a layer."""
    build = jail.bwrap_arguments

    def changed(*arguments: Any) -> tuple[str, ...]:
        options = build(*arguments)
        kept = [part for option in options for part in ((swap or {}).get(option) or (option,))]
        return (*kept, *more)

    patch.setattr(jail, "bwrap_arguments", changed)
    if unfiltered:
        patch.setattr(jail, "compile_filter", lambda: NO_FILTER)


def in_a_jail(body: str, **named: Any) -> list[object]:
    """Try `body` in a jail of its own; what is ended before it could say what came of it gives `["ended", ...]`."""
    text = run_in_a_jail(attack(body), **named)
    return outcome(text) if "OUTCOME" in text else ["ended", text[-300:]]


def run_in_a_jail(code: str, *, seconds: float = 30, **named: Any) -> str:
    """Return what `code` says in a jail of its own, as every jail is built, but for the layers removed."""
    with running_jail(code, seconds=seconds, **named) as (said, _):
        return said.read()


@contextlib.contextmanager
def running_jail(
    code: str, uid: int = JAIL_UID, *, limits: Limits = PLAIN, seconds: float = 30, **removed: Any
) -> Iterator[tuple[TextIO, Cgroup]]:  # fmt: skip
    """Give what `code` says while it runs in a jail of its own, at most so many seconds, and its control group."""
    spec = jail.JailSpec(
        f"attack-{secrets.token_hex(4)}", uid, ENVIRONMENT, (), ("/opt/env/bin/python", "-I", "-c", code),
        limits=limits, directory="/tmp",
    )  # fmt: skip
    reading, writing = os.pipe()
    with pytest.MonkeyPatch.context() as patch:
        without_layer(patch, **removed)
        running = jail.start_jail(spec, CgroupHost.detect(), output=writing)
    os.close(writing)
    timer = threading.Timer(seconds, lambda: running.group.kill())
    timer.start()
    try:
        with os.fdopen(reading) as said:
            yield said, running.group
    finally:
        timer.cancel()
        running.stop(grace=0)


def apart(body: str) -> list[object]:
    """The control of what would change the host: the same code by root, with mounts and a /tmp of its own."""
    shell = 'mount -t tmpfs none /tmp && exec "$0" -c "$1"'
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", shell, sys.executable, attack(body)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, cwd="/")
    return outcome(done.stdout)

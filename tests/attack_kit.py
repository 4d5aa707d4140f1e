"""Code that tries something, run in a kernel, beside a workspace's server, and outside; what came of it."""

from __future__ import annotations

import json
import subprocess
import sys

from workspace_kit import RunningHub

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

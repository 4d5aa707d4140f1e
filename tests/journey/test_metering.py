"""What the journey's own workspace used is counted by the jailer, booked by the worker and shown by the portal."""

from __future__ import annotations

import os

import pytest
from journey_kit import Browser, Walked
from workspace_kit import wait_until

from shuzha.core.actor import platform_actor

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="without root nothing counts what a workspace uses"),
]
ACTOR = platform_actor("test")


def test_use_of_a_real_workspace_is_booked_and_shown(walked: Walked) -> None:
    platform = walked.platform
    (workspace,) = [
        one
        for one in platform.workspaces.list_workspaces(ACTOR)
        if one.name == walked.made["server"].rpartition("/")[2]
    ]
    days = wait_until(lambda: platform.compute.list_days(ACTOR, workspace.id), 90, "the worker's booking")
    assert days[0].cpu_milliseconds > 500, "the server's start alone takes longer"
    assert days[0].memory_byte_seconds > 0
    assert days[0].storage_byte_seconds > 0
    host = platform.compute.describe_host()
    assert host is not None
    assert any("memory" in sentence for sentence in (*host["holds"], *host["cannot"]))
    told = platform.compute.ask_now(workspace.name)
    assert told is not None
    assert told["account"]["cpu_nanoseconds"] >= days[0].cpu_milliseconds * 10**6
    assert "GiB" in Browser(walked, "analyst").read(f"/workspaces/{workspace.id}")

"""The whole demonstration by an ordinary user of the host: no root, no control groups, everything his own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from journey_kit import ROOT, short_folder
from ports_kit import free_ports

from shuzha.core.service_user import ServiceUser, starting_as
from shuzha.server.demo.walk import HOPS

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to become an ordinary user; without it all tests are"),
]
USER = ServiceUser(61_321, 61_321)
SIZE = ("--residents", "3000", "--enterprises", "300", "--insurance-rows", "25000")


def test_demo_walks_the_ten_hops_without_root() -> None:
    with short_folder() as folder:
        os.chown(folder, USER.uid, USER.gid)
        names = ("PORTAL", "API", "SANDBOX")
        ports = {f"SHUZHA_{name}_PORT": str(port) for name, port in zip(names, free_ports(3), strict=True)}
        environment = {**os.environ, **ports, "HOME": str(folder), "PYTHONPATH": str(ROOT)}
        command = [
            str(Path(sys.executable).with_name("shuzha")),
            "demo",
            "--once",
            "--data",
            str(folder / "demo"),
            *SIZE,
        ]
        try:
            done = subprocess.run(
                [*command, "--report", str(folder / "report.json")], cwd=ROOT, env=environment, capture_output=True,
                text=True, timeout=240, check=False, preexec_fn=starting_as(USER),
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            report = json.loads((folder / "report.json").read_text())
            assert [hop["id"] for hop in report["hops"]] == list(HOPS)
            assert {path.lstat().st_uid for path in (folder / "demo").rglob("*")} == {USER.uid}
        finally:
            shutil.rmtree(f"/tmp/shuzha-{USER.uid}", ignore_errors=True)

"""Who the processes of a real platform are when root starts it, and what each of these users can reach."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from journey_kit import Walked, shuzha

from sandbox.workspaces.clean_room.verbs import ROOMS_SOCKET
from sandbox.workspaces.jailer.verbs import Poll
from shuzha.core.service_user import ServiceUser, starting_as
from shuzha.server.running import OF_THE_JAILER

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes as other users"),
]
SERVICES = ("writer", "portal", "worker", "forms", "api", "hub", "gate")
STRANGER = ServiceUser(61_919, 61_919)
ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect(sys.argv[1])
    asking.sendall(sys.argv[2].encode() + b"\\n")
    print(asking.makefile().readline())
"""


@dataclass(frozen=True)
class Tried:
    """What came of a small program: what it printed, and the error that it ended with."""

    said: str
    error: str


def attempt(user: ServiceUser | None, code: str, *arguments: str | Path) -> Tried:
    """Run `code` as another user, or as root."""
    command = [sys.executable, "-I", "-c", code, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, cwd="/", preexec_fn=starting_as(user)
    )
    return Tried(done.stdout.strip(), done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "")


def read(user: ServiceUser | None, path: Path | str) -> Tried:
    return attempt(user, "import sys; print(len(open(sys.argv[1], 'rb').read(64)))", path)


def pid_of(walked: Walked, unit: str) -> int:
    if unit == "gate":
        return int((walked.settings.folder("hub") / "gate.pid").read_text())
    return walked.running.pid(unit)


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


@pytest.fixture(scope="module")
def service(walked: Walked) -> ServiceUser:
    uid = walked.settings.service_uid
    assert uid
    return ServiceUser(uid, uid)


@pytest.fixture(scope="module")
def kernel(walked: Walked) -> int:
    """The host's number of a process in the open workspace's server jail."""
    walked.workspace()
    return max(walked.jail().list_processes())


@pytest.mark.parametrize("unit", SERVICES)
def test_every_service_is_an_ordinary_user_without_rights(walked: Walked, service: ServiceUser, unit: str) -> None:
    status = status_of(pid_of(walked, unit))
    assert status["Uid"].split() == status["Gid"].split() == [str(service.uid)] * 4
    assert status["Groups"].strip() in {"", str(service.gid)}
    assert {name: status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == dict.fromkeys(
        ("CapInh", "CapPrm", "CapEff", "CapAmb"), ""
    )
    assert status["NoNewPrivs"] == "1"


def test_only_the_jailer_is_root(walked: Walked) -> None:
    assert status_of(pid_of(walked, "jailer"))["Uid"].split() == ["0"] * 4


def test_the_data_is_the_service_users_but_for_what_is_the_jailers(walked: Walked, service: ServiceUser) -> None:
    owners = {path.name: path.stat().st_uid for path in walked.settings.data.iterdir()}
    assert {name for name, uid in owners.items() if uid == 0} == set(OF_THE_JAILER)
    assert set(owners.values()) == {0, service.uid}
    for name in set(owners) - set(OF_THE_JAILER):
        folder = walked.settings.folder(name)
        assert {path.lstat().st_uid for path in folder.rglob("*")} <= {service.uid}, name
    assert (walked.settings.folder("keys") / "master.key").stat().st_mode & 0o777 == 0o600
    status = walked.settings.data.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (0, service.gid, 0o1770)


def test_the_service_user_cannot_take_the_place_of_what_is_the_jailers(walked: Walked, service: ServiceUser) -> None:
    code = "import os, sys; os.rename(sys.argv[1], sys.argv[1] + '-gone')"
    assert "PermissionError" in attempt(service, code, walked.settings.folder("homes")).error
    assert "PermissionError" in attempt(service, code, walked.settings.runtime / "jailer.json").error
    # The control: without the sticky bit the same rename succeeds.
    walked.settings.data.chmod(0o770)
    try:
        assert attempt(service, code, walked.settings.folder("homes")) == Tried("", "")
        Path(f"{walked.settings.folder('homes')}-gone").rename(walked.settings.folder("homes"))
    finally:
        walked.settings.data.chmod(0o1770)


def test_the_service_user_reads_no_home_and_no_jails_memory(walked: Walked, service: ServiceUser, kernel: int) -> None:
    walked.run_inside("open('/home/analyst/notebooks/own.txt', 'w').write('mine')")
    home = walked.settings.folder("homes") / walked.made["server"].rpartition("/")[2]
    owner = home.stat().st_uid
    assert owner not in {0, service.uid}
    mine = home / "notebooks" / "own.txt"
    closed = (mine, f"/proc/{kernel}/environ", f"/proc/{kernel}/maps", f"/proc/{kernel}/root/data")
    for path in closed:
        assert "PermissionError" in read(service, path).error, path
    assert read(None, mine) == Tried("4", ""), "the control: root reads it"
    assert int(read(None, f"/proc/{kernel}/environ").said) > 0
    own = attempt(service, "print(len(open('/proc/self/environ', 'rb').read(1)))")
    assert own.error == "", "the control: its own memory is the service user's to read"


def test_no_other_user_of_the_host_reads_a_release(walked: Walked, service: ServiceUser, kernel: int) -> None:
    release = next(walked.settings.folder("releases").glob("*/data.parquet"))
    home = walked.settings.folder("homes") / walked.made["server"].rpartition("/")[2]
    workspace = ServiceUser(home.stat().st_uid, home.stat().st_gid)
    for user in (STRANGER, workspace):
        assert "PermissionError" in read(user, release).error
    seen = "import pathlib; print(sum(len(p.read_bytes()) for p in pathlib.Path('/data').rglob('data.parquet')))"
    assert int(walked.run_inside(seen)) == release.stat().st_size, "the control: the kernel reads it at its place"
    walked.settings.data.chmod(0o1771)
    try:
        assert read(STRANGER, release) == Tried("64", ""), "the control: through an open data folder anybody reads it"
    finally:
        walked.settings.data.chmod(0o1770)
    assert read(service, release) == Tried("64", "")


def test_the_jailer_answers_the_service_user_and_nobody_else(walked: Walked, service: ServiceUser) -> None:
    jailer, rooms = walked.platform.hub_settings.jailer_socket, walked.settings.runtime / ROOMS_SOCKET
    poll = f'{{"verb":"{Poll.__struct_config__.tag}","workspace":"w-none"}}'
    assert '"ok":true' in attempt(service, ASK, jailer, poll).said
    home = walked.settings.folder("homes") / walked.made["server"].rpartition("/")[2]
    workspace = ServiceUser(home.stat().st_uid, home.stat().st_gid)
    for user in (STRANGER, workspace):
        for path in (jailer, rooms):
            assert "PermissionError" in attempt(user, ASK, path, poll).error
    jailer.chmod(0o666)  # The file's mode out of the way: it is the jailer that refuses the peer.
    try:
        for user in (STRANGER, workspace):
            tried = attempt(user, ASK, jailer, poll)
            assert "ok" not in tried.said
    finally:
        jailer.chmod(0o600)


def test_a_command_of_roots_leaves_nothing_that_locks_the_services_out(
    walked: Walked, service: ServiceUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, sheet = walked.settings.folder("run") / "settings.toml", walked.folder / "visits.csv"
    sheet.write_text("card_no,district,visits\n" + "".join(f"c{n},3701{n % 4:02},{n % 9}\n" for n in range(200)))
    monkeypatch.setenv("SHUZHA_LOGIN", "provider")
    monkeypatch.setenv("SHUZHA_PASSWORD", walked.password)
    done = shuzha("import", sheet, "--entry", "370100-HC-0007", "--title-zh", "就诊", "--json", file=file)
    assert done.returncode == 0, done.stderr
    closed = tmp_path / "closed.csv"
    closed.write_text(sheet.read_text())
    closed.chmod(0o600)
    refused = shuzha("import", closed, "--entry", "370100-HC-0008", file=file)
    assert refused.returncode == 2
    assert "cannot read" in refused.stderr
    test_the_data_is_the_service_users_but_for_what_is_the_jailers(walked, service)


def test_doctor_says_who_is_who(walked: Walked, service: ServiceUser) -> None:
    said = shuzha("doctor", "--json", file=walked.settings.folder("run") / "settings.toml").stdout
    assert "jailer as root" in said
    assert f"as {service.uid}" in said
    for unit in SERVICES:
        assert unit in said

"""A workspace's account only grows, whatever is started again, and counts each second of use once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.workspaces.host.disks import Disks, DiskUse
from sandbox.workspaces.host.limits import CgroupHost, Consumption
from sandbox.workspaces.jailer.accounts import MEMORY_GAP_SECONDS, Account, AccountFiles, advance, open_account
from sandbox.workspaces.jailer.books import Books

GIB = 1024**3


def used(cpu: int, memory: int = 0, incarnation: str = "a", kills: int = 0, refusals: int = 0) -> Consumption:
    return Consumption(memory, cpu, 1, kills, refusals, incarnation)


def test_processor_time_is_the_sum_over_groups_that_came_and_went() -> None:
    account = open_account(0.0)
    for at, cpu, incarnation in ((10, 5, "a"), (20, 9, "a"), (30, 4, "b"), (40, 0, ""), (50, 7, "c")):
        account = advance(account, {"kernels": used(cpu, incarnation=incarnation)}, None, at)
    assert account.cpu_nanoseconds == 9 + 4 + 7


def test_memory_and_disk_are_counted_by_the_time_that_they_were_held() -> None:
    account = open_account(0.0)
    disk = DiskUse(2 * GIB, 4 * GIB, 1, 10, capped=True)
    account = advance(account, {"kernels": used(0, GIB)}, disk, 10.0)
    assert account.memory_byte_seconds == GIB * 5
    assert account.storage_byte_seconds == GIB * 10
    account = advance(account, {"kernels": used(0, GIB)}, disk, 20.0)
    assert account.memory_byte_seconds == GIB * 15
    assert account.storage_byte_seconds == GIB * 30


def test_a_long_gap_counts_what_lay_on_disk_but_no_memory_that_nobody_saw() -> None:
    disk = DiskUse(GIB, 4 * GIB, 1, 10, capped=True)
    account = advance(open_account(0.0), {"kernels": used(0, GIB)}, disk, 1.0)
    later = advance(account, {"kernels": used(0, GIB)}, disk, 2.0 + MEMORY_GAP_SECONDS)
    assert later.memory_byte_seconds == account.memory_byte_seconds
    assert later.storage_byte_seconds > account.storage_byte_seconds + int(GIB * MEMORY_GAP_SECONDS)


def test_limits_that_were_hit_are_counted_and_a_full_disk_once() -> None:
    full = DiskUse(GIB, GIB, 1, 10, capped=True, is_full=True)
    half = DiskUse(GIB // 2, GIB, 1, 10, capped=True)
    account = open_account(0.0)
    for at, disk, kills in ((1, full, 1), (2, full, 1), (3, half, 2), (4, full, 2)):
        account = advance(account, {"kernels": used(0, kills=kills, refusals=5)}, disk, at)
    assert account.hits == {"memory": 2, "processes": 5, "disk": 2}


def test_kernels_at_work_are_told_from_idle_ones_and_the_server_does_not_count() -> None:
    account = advance(open_account(0.0), {"kernels": used(0), "server": used(0)}, None, 10.0)
    idle = advance(account, {"kernels": used(10**8), "server": used(10**10)}, None, 20.0)
    assert idle.busy_at == 0.0
    assert advance(idle, {"kernels": used(10**8 + 10**9), "server": used(10**10)}, None, 30.0).busy_at == 30.0


@dataclass
class Real:
    """What really was used, and what a group shows of it."""

    cpu: int = 0
    group: int = 0
    number: int = 0


STEP = st.tuples(st.sampled_from(["work", "look", "restart", "kill", "back"]), st.integers(0, 10**9))


@settings(max_examples=200, deadline=None)
@given(st.lists(STEP, max_size=40))
def test_account_equals_what_was_used_up_to_the_last_look_of_each_group(steps: list[tuple[str, int]]) -> None:
    real, account, at = Real(), open_account(0.0), 0.0
    unseen = lost = 0
    for what, amount in steps:
        before = account
        if what == "work":
            real.cpu, real.group, unseen = real.cpu + amount, real.group + amount, unseen + amount
        elif what == "restart":
            # The group goes without a last look: what was not seen is lost, and nothing else is.
            lost, unseen = lost + unseen, 0
            real.group, real.number = 0, real.number + 1
        elif what == "back":
            at -= 5.0
        else:
            at += amount / 1e9
            account = advance(account, {"kernels": used(real.group, GIB, str(real.number))}, None, at)
            unseen = 0
        # A killed jailer reads what it wrote: the same account.
        assert account.cpu_nanoseconds >= before.cpu_nanoseconds
        assert account.memory_byte_seconds >= before.memory_byte_seconds
        assert account.at >= before.at
    assert account.cpu_nanoseconds == real.cpu - lost - unseen


def test_an_account_is_found_again_as_it_was_written(tmp_path: Path) -> None:
    files = AccountFiles(tmp_path / "accounts")
    assert files.find("w-1") is None
    account = advance(open_account(1.0), {"kernels": used(7, GIB, "x", 1, 2)}, None, 9.0)
    files.write("w-1", account)
    assert files.find("w-1") == account
    (tmp_path / "accounts" / "w-1.json").write_text("{}")
    assert files.find("w-1") is None


def test_books_look_often_while_a_workspace_runs_and_seldom_while_it_rests(tmp_path: Path) -> None:
    now = [1000.0]
    host = CgroupHost("shuzha", None, {}, frozenset(), ("memory is not capped",))
    books = Books(host, Disks(tmp_path / "homes", cannot="no images"), tmp_path, tmp_path / "accounts", lambda: now[0])
    (tmp_path / "homes" / "w-1").mkdir()
    (tmp_path / "homes" / "w-1" / "a").write_bytes(b"x" * 5000)
    assert books.is_due("w-1", runs=False)
    account, disk = books.look("w-1")
    assert isinstance(account, Account)
    assert disk is not None
    assert 0 < disk.used_bytes < 20_000
    assert not books.is_due("w-1", runs=True)
    now[0] += 11
    assert books.is_due("w-1", runs=True)
    assert not books.is_due("w-1", runs=False)
    books.note_end("w-1", "disk")
    assert books.say("w-1")["account"]["ended_for"] == "disk"
    assert books.describe() == {"holds": [], "cannot": ["memory is not capped", "no images"]}

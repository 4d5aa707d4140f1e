"""The filter program itself, run as the kernel would: every number, both machines, hidden halves of arguments."""

from __future__ import annotations

import errno
import os
import socket
import struct
from pathlib import Path

import pyseccomp
import pytest
from bpf_kit import ALLOW, refused, run_filter
from hypothesis import given
from hypothesis import strategies as st

from sandbox.workspaces.jails.calls import GROUPS, HIGHEST, IOCTLS, NAMESPACE_FLAGS, NEWER, list_calls
from sandbox.workspaces.jails.seccomp import compile_filter

X86, ARM = pyseccomp.Arch.X86_64, pyseccomp.Arch.AARCH64
MACHINES = pytest.mark.parametrize("arch", [X86, ARM], ids=["x86-64", "aarch64"])
MARK = 133  # EHWPOISON: no other layer gives it
BY_ARGUMENT = {"clone", "clone3", "socket", "socketpair", "personality", "mknod", "mknodat", "ioctl"}

DANGEROUS = (
    "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount",
    "fspick", "mount_setattr", "setns", "unshare", "ptrace", "process_vm_readv", "process_vm_writev",
    "pidfd_getfd", "kcmp", "bpf", "perf_event_open", "add_key", "request_key", "keyctl", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "userfaultfd", "open_by_handle_at", "name_to_handle_at",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot",
    "swapon", "swapoff", "acct", "quotactl", "syslog", "settimeofday", "clock_settime", "clock_adjtime",
    "adjtimex", "sethostname", "setdomainname", "iopl", "ioperm", "lookup_dcookie", "vhangup", "nfsservctl",
    "fanotify_init", "migrate_pages", "move_pages", "mbind", "set_mempolicy",
    "setuid", "setgid", "setgroups", "capset", "shmget", "msgget", "semget", "mq_open", "io_setup", "vmsplice",
    "modify_ldt", "process_madvise", "memfd_secret", "quotactl_fd", "seccomp", "statmount", "listmount",
)  # fmt: skip
"""What the earlier deny-list named, and what it let through and need not be."""


def number_of(name: str, arch: int) -> int:
    return int(pyseccomp.resolve_syscall(arch, name))


def allowed(name: str, *arguments: int, arch: int = X86) -> bool:
    return refused(compile_filter(arch=arch), number_of(name, arch), arguments, arch) is None


@MACHINES
def test_exactly_the_listed_calls_are_allowed(arch: int) -> None:
    program = compile_filter(arch=arch)
    listed = {number_of(name, arch) for name in list_calls()}
    if arch == pyseccomp.system_arch():
        listed |= set(NEWER.values())
    special = {number_of(name, arch) for name in BY_ARGUMENT}
    passing = {number for number in range(1, HIGHEST + 200) if refused(program, number, (), arch) is None}
    assert passing - special - {0} == {number for number in listed if number > 0}
    assert len(passing) > 200


@MACHINES
@pytest.mark.parametrize("name", DANGEROUS)
def test_dangerous_call_is_refused_whatever_its_arguments(name: str, arch: int) -> None:
    assert name not in list_calls()
    number = number_of(name, arch)
    if number < 0:
        return  # this machine has no such call, or the library no name for it: the test above covers its number
    program = compile_filter(arch=arch)
    for word in (0, 1, 2, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF):
        assert refused(program, number, (word,) * 6, arch) == errno.EPERM


@MACHINES
def test_a_call_that_nobody_knows_is_answered_as_absent(arch: int) -> None:
    program = compile_filter(arch=arch)
    for number in (HIGHEST + 1, 1000, 0x40000000, 0x40000001, 0x7FFFFFFF, 0xFFFFFFFF):
        assert refused(program, number, (), arch) == errno.ENOSYS
    assert refused(program, HIGHEST, (), arch) == errno.EPERM


def test_calls_of_another_machine_end_the_caller() -> None:
    """A 32-bit call reads other numbers: getpid's there is setuid's here, so none is judged by this list."""
    answer = run_filter(compile_filter(arch=X86), 20, (), pyseccomp.Arch.X86)
    assert answer != ALLOW
    assert answer & 0xFFFF0000 in (0x00000000, 0x80000000)


@MACHINES
@given(upper=st.integers(0, 2**32 - 1), flag=st.integers(0, 31))
def test_clone_makes_threads_and_no_namespace(arch: int, upper: int, flag: int) -> None:
    thread = 0x3D0F00
    assert allowed("clone", upper << 32 | thread, arch=arch)
    assert allowed("clone", thread | 1 << flag, arch=arch) is not bool(1 << flag & NAMESPACE_FLAGS)


@MACHINES
def test_clone3_is_absent(arch: int) -> None:
    assert refused(compile_filter(arch=arch), 435, (), arch) == errno.ENOSYS


@MACHINES
@given(family=st.integers(0, 2**32 - 1), kind=st.integers(0, 300), upper=st.integers(0, 2**32 - 1))
def test_sockets_are_of_four_families(arch: int, family: int, kind: int, upper: int) -> None:
    for one in (family, family % 50):
        expected = (
            one == socket.AF_UNIX
            or (one in (socket.AF_INET, socket.AF_INET6) and kind in (0, 6, 17))
            or (one == socket.AF_NETLINK and kind == 0)
        )
        assert allowed("socket", upper << 32 | one, 1, upper << 32 | kind, arch=arch) is expected
        assert allowed("socketpair", upper << 32 | one, arch=arch) is (one == socket.AF_UNIX)


@MACHINES
@given(request=st.integers(0, 2**32 - 1), upper=st.integers(0, 2**32 - 1))
def test_ioctl_is_held_by_the_half_that_the_kernel_reads(arch: int, request: int, upper: int) -> None:
    for one in (request, 0x5412, 0x541C, *IOCTLS.values()):
        assert allowed("ioctl", 1, upper << 32 | one, arch=arch) is (one in IOCTLS.values())


@MACHINES
def test_personality_asks_and_resets_only(arch: int) -> None:
    for value in (0, 0xFFFFFFFF, -1):
        assert allowed("personality", value, arch=arch)
    for value in (0x0040000, 0x0020000, 8, 0x1000000):
        assert not allowed("personality", value, arch=arch)


@MACHINES
def test_mknod_makes_no_device(arch: int) -> None:
    for kind in (0, 0o10000, 0o100000, 0o140000):
        assert allowed("mknodat", -100, 0, kind | 0o666, arch=arch)
    for kind in (0o20000, 0o60000, 0o40000, 0o170000):
        assert not allowed("mknodat", -100, 0, kind | 0o666, arch=arch)
    assert not allowed("mknod", 0, 0o60600)


def test_a_refusal_can_be_told_from_every_other() -> None:
    program = compile_filter(MARK)
    assert refused(program, number_of("mount", X86), arch=X86) == MARK
    assert refused(compile_filter(), number_of("mount", X86), arch=X86) == errno.EPERM


def test_groups_say_why_and_name_no_call_twice() -> None:
    names = list_calls()
    assert len(names) == len(set(names))
    assert not set(names) & BY_ARGUMENT
    assert all(len(group.why) > 20 for group in GROUPS)
    for name in names:
        found = [number_of(name, arch) for arch in (X86, ARM)]
        assert max(found) >= 0 or name in NEWER, f"{name} is no call of either machine"


def test_reference_page_tells_every_group_as_it_is() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/sandbox-hardening.md").read_text()
    for group in GROUPS:
        assert f"| {group.name} | {group.why} | {len(group.calls)} |" in page, group.name
    assert f"{len(IOCTLS)} requests" in page


def test_program_is_small_and_made_once() -> None:
    program = compile_filter()
    assert program is compile_filter()
    assert len(program) % struct.calcsize("=HBBI") == 0
    assert len(program) // 8 <= 1000, os.strerror(errno.E2BIG)

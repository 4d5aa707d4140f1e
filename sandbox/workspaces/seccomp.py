"""The system calls that a jail is refused, as a filter program for the kernel.

The list is a deny-list over an allowing default; an allow-list is the stricter step that follows.
It is checked by the kernel after bubblewrap has built the jail, so nothing inside can take it off.
"""

from __future__ import annotations

import errno
import functools
import os
import socket

import pyseccomp

DENIED = (
    "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount",
    "fspick", "mount_setattr", "setns", "unshare", "ptrace", "process_vm_readv", "process_vm_writev",
    "pidfd_getfd", "kcmp", "bpf", "perf_event_open", "add_key", "request_key", "keyctl", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "userfaultfd", "open_by_handle_at", "name_to_handle_at",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "personality",
    "swapon", "swapoff", "acct", "quotactl", "syslog", "settimeofday", "clock_settime", "clock_adjtime",
    "adjtimex", "sethostname", "setdomainname", "iopl", "ioperm", "lookup_dcookie", "vhangup", "nfsservctl",
    "fanotify_init", "migrate_pages", "move_pages", "mbind", "set_mempolicy",
)  # fmt: skip
"""Calls refused with EPERM whatever their arguments."""

SOCKET_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
"""Families of sockets that libraries need; with no network namespace but loopback they reach nothing outside."""

_NAMESPACES = (0x00000080, 0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
_HIGHEST_FAMILY = 46
_TIOCSTI = 0x5412
_TIOCLINUX = 0x541C


@functools.cache
def compile_filter() -> bytes:
    """Return the filter as the kernel's own program bytes, to be given to bubblewrap."""
    refuse = pyseccomp.ERRNO(errno.EPERM)
    filter_ = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in DENIED:
        _refuse(filter_, refuse, name)
    # clone3 hides its flags in memory, where a filter cannot look: libc falls back to clone.
    _refuse(filter_, pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    for flag in _NAMESPACES:
        _refuse(filter_, refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    for request in (_TIOCSTI, _TIOCLINUX):
        _refuse(filter_, refuse, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xFFFFFFFF, request))
    for family in range(_HIGHEST_FAMILY):
        if family not in SOCKET_FAMILIES:
            _refuse(filter_, refuse, "socket", pyseccomp.Arg(0, pyseccomp.EQ, family))
    _refuse(filter_, refuse, "socket", pyseccomp.Arg(0, pyseccomp.GE, _HIGHEST_FAMILY))
    with os.fdopen(os.memfd_create("seccomp"), "w+b") as file:
        filter_.export_bpf(file)
        file.seek(0)
        return file.read()


def _refuse(filter_: pyseccomp.SyscallFilter, action: int, name: str, *arguments: pyseccomp.Arg) -> None:
    """Add one rule; a call that this architecture does not have needs none."""
    try:
        filter_.add_rule(action, name, *arguments)
    except (ValueError, OSError):
        return

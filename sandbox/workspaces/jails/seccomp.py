"""The system calls that a jail may make, as a filter program for the kernel: what `calls.py` does not list is refused.

The kernel checks it after bubblewrap has built the jail, so nothing inside can take it off. A refused call gives EPERM;
clone3, and numbers that no kernel we know has, give ENOSYS, for which C libraries have an older way.
"""

from __future__ import annotations

import errno
import functools
import os
import struct

import pyseccomp

from sandbox.workspaces.jails.calls import (
    FILE_KINDS,
    HIGHEST,
    IOCTLS,
    NAMESPACE_FLAGS,
    NEWER,
    PERSONALITIES,
    SOCKETS,
    list_calls,
)

_WORD = 0xFFFFFFFF
_KIND = 0o170000
_BINARY_TREE = 2
_LOAD_WORD, _JUMP_IF_GREATER, _RETURN = 0x20, 0x25, 0x06
_MISSING = -1


@functools.cache
def compile_filter(refusal: int = errno.EPERM, arch: int = pyseccomp.Arch.NATIVE) -> bytes:
    """Return the filter as the kernel's own program bytes, to be given to bubblewrap.

    `refusal` is the error that a refused call gives: a test that takes one that nothing else gives can tell this
    filter's refusals from all others. `arch` is the machine it is for (x86-64 or 64-bit Arm; by default this one).
    """
    filter_ = pyseccomp.SyscallFilter(pyseccomp.ERRNO(refusal))
    if arch not in (pyseccomp.Arch.NATIVE, pyseccomp.system_arch()):
        filter_.add_arch(arch)
        filter_.remove_arch(pyseccomp.system_arch())  # libseccomp then cannot take a call by its number alone
    filter_.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, _BINARY_TREE)
    for name in list_calls():
        _add(filter_, pyseccomp.ALLOW, name)
    # clone3 hides its flags in memory, where a filter cannot look.
    _add(filter_, pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    _allow_when(filter_, "clone", _word(0, 0, NAMESPACE_FLAGS))
    _allow_when(filter_, "socketpair", _word(0, 1))
    for family, protocol in SOCKETS:
        _allow_when(filter_, "socket", _word(0, family), *([] if protocol is None else [_word(2, protocol)]))
    for value in PERSONALITIES:
        _allow_when(filter_, "personality", _word(0, value))
    for kind in FILE_KINDS:
        _allow_when(filter_, "mknod", _word(1, kind, _KIND))
        _allow_when(filter_, "mknodat", _word(2, kind, _KIND))
    for request in IOCTLS.values():
        _allow_when(filter_, "ioctl", _word(1, request))
    return _unknown_calls() + _export(filter_)


def _word(argument: int, value: int, mask: int = _WORD) -> pyseccomp.Arg:
    """Compare the low 32 bits of an argument, as the kernel does for an int: the upper half may hold anything."""
    return pyseccomp.Arg(argument, pyseccomp.MASKED_EQ, mask, value)


def _allow_when(filter_: pyseccomp.SyscallFilter, name: str, *arguments: pyseccomp.Arg) -> None:
    _add(filter_, pyseccomp.ALLOW, name, *arguments)


def _add(filter_: pyseccomp.SyscallFilter, action: int, name: str, *arguments: pyseccomp.Arg) -> None:
    """Add one rule; a call that the filter's machine does not have needs none."""
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    if number == _MISSING:
        if name not in NEWER or not filter_.exist_arch(pyseccomp.Arch.NATIVE):
            return
        number = NEWER[name]
    filter_.add_rule(action, number, *arguments)


def _unknown_calls() -> bytes:
    """Return the program's head: a number above every call that we know is answered ENOSYS at once."""
    return b"".join((
        struct.pack("=HBBI", _LOAD_WORD, 0, 0, 0),
        struct.pack("=HBBI", _JUMP_IF_GREATER, 0, 1, HIGHEST),
        struct.pack("=HBBI", _RETURN, 0, 0, pyseccomp.ERRNO(errno.ENOSYS)),
    ))  # fmt: skip


def _export(filter_: pyseccomp.SyscallFilter) -> bytes:
    with os.fdopen(os.memfd_create("seccomp"), "w+b") as file:
        filter_.export_bpf(file)
        file.seek(0)
        return file.read()

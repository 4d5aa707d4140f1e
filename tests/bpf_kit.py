"""Runs a filter program as the kernel would, so that every number and argument can be tried without making the call."""

from __future__ import annotations

import struct

ALLOW = 0x7FFF0000
ERRNO = 0x00050000


def run_filter(program: bytes, number: int, arguments: tuple[int, ...] = (), arch: int = 0xC000003E) -> int:
    """Return what the program answers: ALLOW, or ERRNO with the error in its lower half, or a kill."""
    given = tuple(a & 0xFFFFFFFFFFFFFFFF for a in (*arguments, 0, 0, 0, 0, 0, 0)[:6])
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *given)
    steps = list(struct.iter_unpack("=HBBI", program))
    at = held = 0
    while True:
        code, yes, no, k = steps[at]
        at += 1
        if code == 0x06:
            return int(k)
        if code == 0x20:
            held = struct.unpack_from("=I", data, k)[0]
        elif code == 0x54:
            held &= k
        elif code == 0x05:
            at += k
        else:
            true = {0x15: held == k, 0x25: held > k, 0x35: held >= k, 0x45: bool(held & k)}[code]
            at += yes if true else no


def refused(program: bytes, number: int, arguments: tuple[int, ...] = (), arch: int = 0xC000003E) -> int | None:
    """Return the error that the call gets, None when it is allowed; a kill fails the test."""
    answer = run_filter(program, number, arguments, arch)
    if answer == ALLOW:
        return None
    assert answer & 0xFFFF0000 == ERRNO, hex(answer)
    return answer & 0xFFFF

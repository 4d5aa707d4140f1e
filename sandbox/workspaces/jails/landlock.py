"""Landlock, the second layer of a kernel's jail: how a kernel is started under it, and how much of it this host has."""

from __future__ import annotations

from pathlib import Path

from sandbox.workspaces.jails.inside import shuzha_kernel
from sandbox.workspaces.jails.jail import INSIDE_ENVIRONMENT, Mount

KERNEL_LAUNCHER = "/etc/jupyter/shuzha_kernel.py"
LAUNCHER_MOUNTS = tuple(
    Mount(Path(shuzha_kernel.__file__).with_name(Path(inside).name), inside)
    for inside in (KERNEL_LAUNCHER, "/etc/jupyter/shuzha_output.py")
)
"""The launcher, and what it makes of the kernel, as a kernel's jail must show them: root's own files, read-only."""

WHOLE_ABI = 6
"""The first version of Landlock that has a rule for everything that the launcher asks."""

_SINCE = (
    (1, "files"), (2, "renaming across folders"), (3, "truncating"), (4, "TCP ports"), (5, "ioctl of devices"),
    (6, "signals and abstract sockets"),
)  # fmt: skip


def kernel_command(connection: str) -> tuple[str, ...]:
    """Return what a kernel's jail starts: the launcher, which restricts itself and then is the kernel of `connection`.

    `-P -s` keep the analyst's own modules out until the rules hold, as `-I` would; `-I` would also ignore the hash seed
    that a clean room sets. A kernel's environment must therefore name no PYTHONPATH; a jail's is made from nothing.
    """
    return (f"{INSIDE_ENVIRONMENT}/bin/python", "-P", "-s", KERNEL_LAUNCHER, "-f", connection)


def landlock_abi() -> int:
    """Return the version of Landlock that this host's kernel speaks; 0 when it has none or it is switched off."""
    return shuzha_kernel.find_abi()


def describe_landlock(abi: int) -> str:
    """Return, in a sentence, what a host with this version enforces on a kernel, and what it does not."""
    if abi == 0:
        return "absent: a kernel is held by its mounts, its namespaces and the system-call filter alone"
    held = ", ".join(what for since, what in _SINCE if abi >= since)
    lacking = ", ".join(what for since, what in _SINCE if abi < since)
    return f"version {abi} holds a kernel's {held}" + (f"; it has no rule for {lacking}" if lacking else "")

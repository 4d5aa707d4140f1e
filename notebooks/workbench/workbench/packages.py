"""What can be imported here, and what to do about what cannot: nothing is installed from inside a workspace."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Any

from workbench.show import Shown

HINT = (
    "工作区没有网络，不能自行安装软件包。已安装的见 workbench.packages()；需要别的，请向主管部门申请：\n"
    "批准后由平台安装，下次启动工作区时可用。\n"
    "A workspace has no network, so nothing can be installed from inside. workbench.packages() lists what is there.\n"
    "Ask the authority for another package: once it is approved the platform installs it, and it is there when the\n"
    "workspace is started again."
)
MISSING = (
    "workbench: {name} 未安装；已安装的见 workbench.packages()，需要别的请向主管部门申请。\n"
    "workbench: {name} is not installed here. workbench.packages() lists what is; ask the authority\n"
    "for another package.\n"
)
_LICENCE = "License :: OSI Approved :: "


def say_missing(name: str | None) -> str:
    """Return where to ask for what could not be imported, in both languages."""
    return MISSING.format(name=(name or "?").partition(".")[0])


def packages() -> Shown:
    """Return what can be imported here: name, version and licence of each installed package.

    Example: `[one["name"] for one in workbench.packages()]`
    """
    found = {one.metadata["Name"].lower(): one for one in metadata.distributions()}
    rows = [{"name": name, "version": one.version, "licence": licence_of(one)} for name, one in sorted(found.items())]
    return Shown("已安装的软件包 · packages", rows)


def licence_of(found: metadata.Distribution) -> str:
    """Return the licence that a package declares, in few words; empty where it declares none."""
    said: Any = found.metadata
    classified = [one.removeprefix(_LICENCE) for one in said.get_all("Classifier") or [] if one.startswith(_LICENCE)]
    declared = said.get("License-Expression") or ", ".join(classified) or said.get("License") or ""
    return declared.strip().split("\n")[0][:60]


def refuse() -> None:
    """Say why nothing can be installed, and end with 1: the program `pip` of a workspace, and its kin."""
    sys.stderr.write(f"{HINT}\n")
    raise SystemExit(1)

"""What a kernel gets at its start: %pip that says where to ask, and the names of tables and columns at a Tab."""

from __future__ import annotations

import sys
from typing import Any

from workbench.data import find_folders, scan
from workbench.errors import WorkbenchError
from workbench.packages import HINT, say_missing

INSTALLERS = ("pip", "conda", "mamba", "micromamba", "uv")
_NAMES = r".*\b(load|table|plot)\(\s*[\"'][^\"']*$"
_COLUMNS = (
    r".*\bworkbench\.(table|plot)\(\s*[\"'](\w+)[\"'].*\b(rows|columns|value|entity)\s*=\s*[\[(]?[^\])]*[\"']\w*$"
)


def load_ipython_extension(shell: Any) -> None:
    """Join the magics and the completions to a kernel's shell."""

    def refuse(_: str) -> None:
        raise WorkbenchError(HINT, rule="workspace.packages")

    for name in INSTALLERS:
        shell.register_magic_function(refuse, magic_kind="line", magic_name=name)
    shell.events.register("post_run_cell", explain_missing)
    shell.set_hook("complete_command", complete_columns, re_key=_COLUMNS)
    shell.set_hook("complete_command", complete_names, re_key=_NAMES)


def explain_missing(result: Any) -> None:
    """Say below the traceback of a failed import where to ask for the package."""
    if isinstance(result.error_in_exec, ModuleNotFoundError):
        sys.stderr.write(say_missing(result.error_in_exec.name))


def complete_names(_: Any, event: Any) -> list[str]:
    """Return the names of the tables that are granted."""
    return [name for name in find_folders() if name.startswith(_begun(event))]


def complete_columns(_: Any, event: Any) -> list[str]:
    """Return the columns of the table that the line names first."""
    quoted = str(event.text_until_cursor).replace("'", '"').split('"')
    folder = find_folders().get(quoted[1]) if len(quoted) > 1 else None
    if folder is None:
        return []
    return [name for name in scan(folder).collect_schema().names() if name.startswith(_begun(event))]


def _begun(event: Any) -> str:
    return str(event.text_until_cursor).replace("'", '"').rpartition('"')[2]

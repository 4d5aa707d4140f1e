"""The analysts' library for tests, imported afresh from its own folder as an environment would have it.

`python tests/workbench_kit.py` writes the part of docs/reference/workbench.md that is made of its docstrings.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[1] / "notebooks" / "workbench"
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "workbench.md"
MADE = "<!-- Made of the library by tests/workbench_kit.py; a test holds it. -->"


@contextmanager
def imported_workbench() -> Iterator[ModuleType]:
    """Import the library while the block lasts; what it remembers ends with it."""
    sys.path.insert(0, str(FOLDER))
    _forget()
    try:
        yield importlib.import_module("workbench")
    finally:
        _forget()
        sys.path.remove(str(FOLDER))


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "workbench"]:
        del sys.modules[name]


def render_reference(library: ModuleType) -> str:
    """Return what docs/reference/workbench.md says of each verb: its signature and its docstring."""
    parts = []
    for prefix, module, names in _verbs(library):
        for name in names:
            found = getattr(module, name)
            signature = re.sub(r"(: |-> )'([^']+)'", r"\1\2", str(inspect.signature(found)))
            text = inspect.cleandoc(found.__doc__ or "")
            parts += [f"### `{prefix}.{name}`", "", f"```python\n{prefix}.{name}{_wrap(signature)}\n```", text, ""]
    return "\n".join(parts)


def _verbs(library: ModuleType) -> Iterator[tuple[str, ModuleType, list[str]]]:
    yield "workbench", library, [name for name in dir(library) if name[0].islower() and name != "dp"]
    yield "workbench.dp", library.dp, ["count", "sum", "mean", "histogram", "quantile"]


def _wrap(signature: str) -> str:
    if len(signature) < 90:
        return signature
    inner, _, result = signature.rpartition(" -> ")
    depth, parts, part = 0, [], ""
    for letter in inner[1:-1]:
        depth += letter in "[(" and 1
        depth -= letter in "])" and 1
        if letter == "," and not depth:
            parts.append(part.strip())
            part = ""
        else:
            part += letter
    return "(\n    " + ",\n    ".join([*parts, part.strip()]) + f",\n) -> {result}"


def write_reference() -> None:
    """Write the page's made part anew, below its line of dashes."""
    head = PAGE.read_text("utf-8").partition(MADE)[0]
    with imported_workbench() as library:
        PAGE.write_text(f"{head}{MADE}\n{render_reference(library)}", "utf-8")


if __name__ == "__main__":
    write_reference()

"""What a workspace can ask of the platform."""

from __future__ import annotations

from workbench import outputs
from workbench.connection import ask
from workbench.place import outbox
from workbench.show import Shown
from workbench.specifications import Table, Verification


def status() -> Shown:
    """Return how this workspace and its export requests stand."""
    return Shown("工作区状态 · status", ask("status"))


def budget() -> Shown:
    """Return what is left of the term, the screen budget and the privacy budget."""
    return Shown("余额 · budget", ask("budget"))


def check(output: Table | Verification) -> Shown:
    """Return what the airlock's automatic checks would find in `output`; nothing is submitted."""
    return Shown("出域预检 · check", ask("check", specification=output.specification))


def submit(notebook: str, context: str = "") -> Shown | None:
    """Ask for the export of what the saved `notebook` declares; the platform runs it again and screens the outputs.

    Save the notebook first: the file is what is submitted. In a clean room nothing happens.
    """
    if outbox() is not None:
        return None
    names = list(outputs.declared())
    return Shown("出域申请 · export request", ask("submit", notebook=notebook, outputs=names, context=context))

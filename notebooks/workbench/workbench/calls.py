"""What a workspace can ask of the platform."""

from __future__ import annotations

import time

from workbench import outputs
from workbench.connection import ask
from workbench.errors import WorkbenchError
from workbench.figures import Figure
from workbench.place import outbox
from workbench.progress import Progress
from workbench.regressions import Regression
from workbench.specifications import Table, Verification
from workbench.views import Balance, Findings, Request, Standing
from workbench.words import EXPORT_STATES

_MOVING = frozenset({"submitted", "rerunning"})
_POLL_SECONDS = 1.5


def status() -> Standing:
    """Return how this workspace and its export requests stand.

    Example: `workbench.status()["exports"]`

    Refused in a clean room, where there is no platform to ask.
    """
    return Standing("工作区状态 · status", ask("status"))


def budget() -> Balance:
    """Return what is left of the term, of today's screen budget (bytes), and of the privacy budget (epsilon).

    Example: `workbench.budget()["screen_bytes_left"]`
    """
    return Balance("余额 · budget", ask("budget"))


def check(output: Table | Regression | Figure | Verification) -> Findings:
    """Return what the airlock's automatic checks would find in `output`, with repairs; nothing is submitted.

    Example: `workbench.check(workbench.table("social_insurance", rows=["district_code"]))`

    `.apply(name)` of the answer gives the output with a repair that the platform tried and found to pass. Refuses
    anything but a table, regression, figure or verification: files are judged by people.
    """
    if not isinstance(output, (Table, Regression, Figure, Verification)):
        raise WorkbenchError(
            f"cannot check {type(output).__name__}",
            rule="workbench.check",
            accepted="a workbench table, regression, figure or verification",
        )
    found = ask("check", specification=output.specification)
    return Findings("出域预检 · check", found, output.specification)


def submit(notebook: str, context: str = "", *, wait: float = 0.0) -> Request | None:
    """Ask for the export of what the saved `notebook` declares; the platform runs it again and screens the outputs.

    Example: `workbench.submit("insurance-coverage.ipynb", context="loan review", wait=60)`

    Save the notebook first: the file is what is submitted. `wait` follows the request for so many seconds until it was
    screened. In a clean room nothing happens. Refuses a name that is no saved notebook's.
    """
    if outbox() is not None:
        return None
    if not notebook.endswith(".ipynb"):
        raise WorkbenchError(
            f"cannot submit {notebook!r}",
            rule="workspace.notebook",
            accepted="the name of a saved notebook, name.ipynb",
        )
    made = ask("submit", notebook=notebook, outputs=outputs.digests(), context=context)
    if wait > 0:
        made = _follow(made, wait)
    return Request("出域申请 · export request", made)


def _follow(made: dict[str, str], seconds: float) -> dict[str, str]:
    """Return the request as it stands once it was screened, or when the time is over."""
    deadline = time.monotonic() + seconds
    with Progress("出域申请 · export request") as progress:
        while made.get("state") in _MOVING and time.monotonic() < deadline:
            progress.tick(f"出域申请 · export request: {EXPORT_STATES[made['state']][0]} {made['state']}")
            time.sleep(_POLL_SECONDS)
            made = next((one for one in ask("status")["exports"] if one["id"] == made["id"]), made)
    return made


LACKS = ("missing_values", "wrong_values", "out_of_date", "unclear_meaning", "irregular_form", "other")


def require(lack: str, text: str, columns: list[str] | tuple[str, ...] = ()) -> Standing:
    """Ask the provider of this workspace's data to mend it; the answer is on the portal's page of requirements.

    Example: `workbench.require("missing_values", "district_code is empty for a third of 2025", ["district_code"])`

    `lack` is one of missing_values, wrong_values, out_of_date, unclear_meaning, irregular_form, other. The words leave
    the sandbox, so they are at most 300 letters, and five a day. Refused in a clean room.
    """
    if lack not in LACKS:
        raise WorkbenchError(f"cannot require {lack!r}", rule="requirement.lack", accepted=", ".join(LACKS))
    return Standing("治理需求 · requirement", ask("require", lack=lack, text=text, columns=list(columns)))

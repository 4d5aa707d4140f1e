"""Keeps what is made from code in step with the code: lifecycle pages, the roles table, and the migrations.

`python -m shuzha.server.housekeeping` writes the pages; with `--check` it says what is not current and ends with 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from policies import reference
from policies.rolebook import RoleBook
from products.consumers.app_model import APP
from products.consumers.model import KEY
from products.consumers.webhook_model import WEBHOOK
from products.registry.case_model import CASE
from products.registry.model import PRODUCT, REGISTRATION
from products.registry.resource_model import RESOURCE
from sandbox.airlock.model import EXPORT
from sandbox.inbound.model import IMPORT
from sandbox.workspaces.model import WORKSPACE
from shuzha.authorization.announcement import ANNOUNCEMENT
from shuzha.authorization.assessment import ASSESSMENT
from shuzha.authorization.model import AUTHORIZATION, DEMAND, GRANT
from shuzha.catalog.model import BATCH, ENTRY
from shuzha.core.clock import SystemClock
from shuzha.core.lifecycle import Lifecycle
from shuzha.core.settings import HELP, Settings
from shuzha.core.work import Database
from shuzha.exits.model import EXIT
from shuzha.oversight.model import ALERT, REQUIREMENT
from shuzha.people.model import ACCOUNT
from shuzha.people.staff import TRAINING
from shuzha.releases.model import RELEASE
from shuzha.server import schema
from shuzha.server.attack_page import attacks_page
from shuzha.server.rule_page import rules_page
from shuzha.settlement.model import STATEMENT

_DOCS = Path(__file__).parents[2] / "docs"
LIFECYCLES: tuple[Lifecycle[Any], ...] = (
    ACCOUNT, ENTRY, BATCH, ANNOUNCEMENT, AUTHORIZATION, ASSESSMENT, DEMAND, GRANT, RELEASE, WORKSPACE, IMPORT, EXPORT,
    REGISTRATION, RESOURCE, CASE, PRODUCT, APP, KEY, WEBHOOK, TRAINING, EXIT,
    STATEMENT, ALERT, REQUIREMENT,
)  # fmt: skip


def lifecycles_page() -> str:
    """Return the page of every lifecycle: its diagram, and each verb with its permission, next owner and clock."""
    parts = ["# Lifecycles", "", "Made from the tables in the code by `python -m shuzha.server.housekeeping`."]
    for lifecycle in LIFECYCLES:
        parts += ["", f"## {lifecycle.noun}", "", "```mermaid", lifecycle.diagram(), "```", ""]
        parts += ["| verb | from | to | permission | whose turn then | clock |", "|---|---|---|---|---|---|"]
        for move in lifecycle.moves:
            sources = ", ".join(state.value for state in move.sources)
            cells = (
                move.verb,
                sources,
                move.target.value,
                f"`{lifecycle.permission(move.verb)}`",
                move.owner,
                move.clock or "",
            )
            parts.append("| " + " | ".join(cells) + " |")
    return "\n".join(parts) + "\n"


def settings_page() -> str:
    """Return the page of every setting with its default and meaning."""
    parts = [
        "# Settings", "",
        "One TOML file (`SHUZHA_SETTINGS`, else `shuzha.toml`); `SHUZHA_<NAME>` in the environment wins.",
        "Made from the code by `python -m shuzha.server.housekeeping`.", "",
        "| setting | default | what it is |", "|---|---|---|",
    ]  # fmt: skip
    defaults = {"data": "var/data"}
    for field in dataclasses.fields(Settings):
        default = defaults.get(field.name, "" if field.default is dataclasses.MISSING else str(field.default))
        parts.append(f"| `{field.name}` | {f'`{default}`' if default else ''} | {HELP[field.name]} |")
    return "\n".join(parts) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/lifecycles.md": lifecycles_page,
    "reference/attacks.md": attacks_page,
    "reference/disclosure-rules.md": rules_page,
    "reference/settings.md": settings_page,
    "reference/roles-and-permissions.md": lambda: reference.render_reference(RoleBook.load()),
}


def stale() -> Iterator[str]:
    """Yield what is not current: pages that differ from what the code makes, and tables without a migration."""
    for name, make in PAGES.items():
        path = _DOCS / name
        if not path.exists() or path.read_text("utf-8") != make():
            yield f"docs/{name} is not what the code makes: run `python -m shuzha.server.housekeeping`"
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/records.db", SystemClock())
        schema.migrate(database)
        for difference in schema.differences(database):
            yield f"a migration is missing: {difference}"


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or check that everything is current; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m shuzha.server.housekeeping")
    parser.add_argument("--check", action="store_true", help="change nothing; end with 1 when something is not current")
    if parser.parse_args(arguments).check:
        found = list(stale())
        sys.stdout.writelines(f"{line}\n" for line in found)
        return 1 if found else 0
    for name, make in PAGES.items():
        (_DOCS / name).write_text(make(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

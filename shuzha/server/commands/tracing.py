"""The command that walks: from a fen or a use down to the raw entry, and from an entry on to its fen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shuzha.core.errors import Invalid, NotAllowed
from shuzha.core.settings import load_settings
from shuzha.server.commands.output import print_json, print_table
from shuzha.server.commands.session import LOGIN, PASSWORD, signed_in

if TYPE_CHECKING:
    from shuzha.oversight.trace import Link

SAID = {True: "yes", False: "NO", None: "—"}


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("trace")(trace)


def trace(
    context: typer.Context,
    thing: Annotated[str, typer.Argument(help="A use (usg_…), a bill (stm_…) or an entry (ent_…).")],
    *,
    fen: Annotated[int, typer.Option(min=1, help="Which fen of the bill, counted from 1.")] = 1,
    login: Annotated[str | None, typer.Option(help=f"The account ({LOGIN}); its password is asked, or {PASSWORD}.")]
    = None,
    settings: Annotated[
        Path | None, typer.Option("--settings", help="The settings (SHUZHA_SETTINGS, else shuzha.toml).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:  # fmt: skip
    """Walk a fen, a use or an entry along its chain, each station checked now; ends with 1 where one says NO."""
    kind = thing.partition("_")[0]
    with signed_in(load_settings(settings), login, context.obj) as (platform, actor):
        told: dict[str, Any] = {"thing": thing}
        if kind == "ent":
            entry = platform.walks.trace_entry(actor, thing)
            links: Sequence[Link] = entry.links
            told |= {"uses": entry.uses, "due_fen": entry.due_fen, "earned_fen": entry.earned_fen}
        elif kind == "stm":
            found, chain = platform.walks.trace_fen(actor, thing, fen)
            links = chain.links
            told |= {"fen": found.fen, "line": found.line, "party": found.party, "usage_id": chain.usage_id}
        elif kind == "usg":
            links = platform.oversight.trace(actor, thing).links
        else:
            raise Invalid("this is nothing that can be walked", rule="trace.thing", accepted="usg_…, stm_… or ent_…")
    holds = all(link.holds is not False for link in links)
    if as_json:
        print_json({**told, "holds": holds, "links": links})
    else:
        rows = [(link.kind, link.name or link.id, link.checked or "—", SAID[link.holds]) for link in links]
        title = ", ".join(f"{name} {value}" for name, value in told.items())
        print_table(title, ("station", "which", "what was checked just now", "holds"), rows)
    if not holds:
        raise NotAllowed("a station does not hold", rule="trace.holds", accepted="every station says yes")

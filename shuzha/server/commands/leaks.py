"""The command that names the buyer of a leaked copy: leak trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shuzha.core.settings import load_settings
from shuzha.server.commands.operations import AsJson, SettingsFile
from shuzha.server.commands.output import console, print_facts, print_json, print_table, working


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Leaked copies of components and reports.")
    group.command("trace")(trace)
    group.callback()(lambda: None)
    app.add_typer(group, name="leak")


def trace(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="The copy as it was found: CSV or Parquet.")
    ],
    *,
    product: Annotated[str, typer.Option(help="The product's code or id.")],
    reason: Annotated[str, typer.Option(help="Where the copy was found, and why it is traced.")],
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Name the buyer of a leaked copy with the evidence; the copy is read in a jail, the trace is kept and logged."""
    from products.forms.marks.tracing import MOST_BYTES
    from shuzha.core.errors import Invalid
    from shuzha.server.platform import Platform

    if file.stat().st_size > MOST_BYTES:
        raise Invalid(
            "a copy of this size cannot be traced", rule="forms.marks", accepted=f"at most {MOST_BYTES} bytes"
        )
    platform = Platform(load_settings(settings))
    found = platform.registry.find_by_code(product)
    with working("reading the copy"):
        made = platform.forms.trace_copy(
            platform.actor("leaks"), found.id if found else product, file.read_bytes(), reason
        )
    if as_json:
        print_json(made)
        return
    facts = {
        "trace": made.id, "copy (SHA-256)": made.copy_sha256, "rows": f"{made.rows:,}",
        "found in the original": f"{made.matched:,}", "marked cells that spoke": f"{made.cells:,}",
    }  # fmt: skip
    print_facts("A leaked copy", facts)
    rows = [
        ("named" if one.named else "", one.buyer, f"{one.score:,.1f}", f"10^{one.log10_chance:.1f}",
         ", ".join(each.usage_id for each in one.deliveries[:3]))
        for one in made.suspects[:10]
    ]  # fmt: skip
    print_table("buyers", ("", "organisation", "score", "chance without a part, at most", "fetches"), rows)
    if not made.named:
        console.print("nobody is named: too little of the copy is the original's, or no buyer's copy was used")

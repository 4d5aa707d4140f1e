"""The commands of statements: export a settled month for whoever computes it again, and compute it again offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from shuzha.core.errors import Conflict, Invalid
from shuzha.core.settings import load_settings
from shuzha.server.commands.duties import AsJson, Login, SettingsFile
from shuzha.server.commands.output import console, print_json, print_table, working
from shuzha.server.commands.session import signed_in

group = typer.Typer(no_args_is_help=True, help="Statements: export a month, compute it again offline.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    group.command("approve")(approve)
    group.command("export")(export)
    group.command("verify")(verify)
    app.add_typer(group, name="statement")


def approve(
    context: typer.Context,
    *,
    period: Annotated[str, typer.Option(help="The settled month, YYYY-MM.")],
    login: Login = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Issue every statement of a settled month that waits for it: from now on whom they are for see them."""
    with signed_in(load_settings(settings), login, context.obj) as (platform, actor), working("approving"):
        found = platform.statement_desk.approve_month(actor, period)
    issued = [{"number": one.number, "state": one.state, "digest": one.digest} for one in found]
    if as_json:
        print_json({"period": period, "statements": issued})
    else:
        print_table(f"statements of {period}", ("number", "state", "digest"), [tuple(one.values()) for one in issued])


def export(
    context: typer.Context,
    *,
    period: Annotated[str, typer.Option(help="The settled month, YYYY-MM.")],
    output: Annotated[Path, typer.Option("--output", "-o", dir_okay=False, help="The file to write.")],
    login: Login = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Write a settled month's statements with all their inputs: prices, signed agreements, weights, caps."""
    with signed_in(load_settings(settings), login, context.obj) as (platform, actor), working("exporting"):
        content = platform.settlement.bundle(actor, period)
    output.write_bytes(content)
    if as_json:
        print_json({"period": period, "file": str(output), "bytes": len(content)})
    else:
        console.print(f"{output}: {period}, {len(content):,} bytes", highlight=False, markup=False)


def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file of `shuzha statement export`.")],
    *,
    usage: Annotated[Path, typer.Option(exists=True, file_okay=False, help="The folder of the usage log.")],
    as_json: AsJson = False,
) -> None:
    """Compute a month again from the usage log and its inputs, apart from the settlement, and compare byte for byte."""
    from shuzha.settlement import recompute

    with working("computing"):
        try:
            bundle = json.loads(file.read_text("utf-8"))
            wrong = recompute.verify(bundle, usage)
        except (recompute.BadInput, ValueError, KeyError, TypeError) as error:
            raise Invalid(
                f"{file.name} cannot be computed: {error}", rule="statement.bundle",
                accepted="the file of `shuzha statement export`, and the whole usage log",
            ) from None  # fmt: skip
    found = {"period": bundle["period"], "statements": len(bundle["statements"]), "equal": not wrong, "wrong": wrong}
    if as_json:
        print_json(found)
    elif not wrong:
        console.print(f"equal: {found['statements']} statements of {found['period']}, byte for byte", highlight=False)
    if wrong:
        raise Conflict(f"{bundle['period']}: {'; '.join(wrong)}", rule="statement.recomputed")

"""The command that builds or updates a verification product's index here and now: index build."""

from __future__ import annotations

from typing import Annotated

import typer

from shuzha.core.settings import load_settings
from shuzha.server.commands.operations import AsJson, SettingsFile
from shuzha.server.commands.output import counting, print_facts, print_json


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="The indexes of verification products.")
    group.command("build")(build)
    group.callback()(lambda: None)
    app.add_typer(group, name="index")


def build(
    product: Annotated[str, typer.Argument(help="The product's id, such as prd_01k….")],
    *,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Bring a product's index to its newest rows, with a bar; Ctrl-C ends it and leaves the index as it was."""
    from shuzha.server.platform import Platform

    platform = Platform(load_settings(settings))
    with counting("building the index") as show:
        made = platform.indexes.run_build(product, lambda _stage, done, total: show(done, total))
    facts = {
        "product": made.product, "version": made.version, "subjects": made.subjects, "way": made.way,
        "changed_rows": made.changed, "seconds": made.seconds, "bytes": made.size, "segments": len(made.segments),
        "raw_version": made.raw_version, "sha256": made.sha256,
    }  # fmt: skip
    if as_json:
        print_json(facts)
    else:
        print_facts("The index", {name: str(value) for name, value in facts.items()})

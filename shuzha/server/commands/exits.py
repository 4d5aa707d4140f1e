"""The command that verifies the end of an authorization offline: exit verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from shuzha.core.errors import Invalid, NotAllowed
from shuzha.server.commands.output import print_facts, print_json


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="The end of an authorization.")
    group.command("verify")(verify)
    group.callback()(lambda: None)
    app.add_typer(group, name="exit")


def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The bundle of an exit's certificate.")],
    *,
    log_key: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The audit log's public key, as kept.")],
    platform_key: Annotated[str, typer.Option(help="The platform's public key in hex, as kept.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Verify the certificate of an exit without server or database; ends with 1 where something is wrong."""
    from shuzha.exits.certificate import verify_bundle
    from shuzha.ledger.verify import BadInput

    content = file.read_bytes()
    try:
        wrong = verify_bundle(content, log_key=log_key.read_text("utf-8"), platform_key=platform_key)
    except BadInput as error:
        raise Invalid(
            str(error), rule="exit.certificate", accepted="a file of GET /api/v1/exits/ID/certificate"
        ) from None
    said = _say(json.loads(json.loads(content)["certificate"]), wrong)
    if as_json:
        print_json(said)
    else:
        print_facts("The end of an authorization", {name: str(value) for name, value in said.items()})
    if wrong:
        raise NotAllowed("the certificate does not hold", rule="exit.certificate")


def _say(certificate: dict[str, Any], wrong: tuple[str, ...]) -> dict[str, Any]:
    kinds = [str(one["kind"]) for one in certificate["destroyed"]]
    return {
        "holds": not wrong, "wrong": list(wrong), "exit": certificate["exit"],
        "authorization": certificate["authorization"], "cause": certificate["cause"],
        "destroyed": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "months_settled": len(certificate["settled"]), "due_fen": certificate["due_fen"],
        "certified_at": certificate["certified_at"],
    }  # fmt: skip

"""The commands on files of the register that need no server: receipt verify, dossier verify."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shuzha.core.errors import Invalid, NotAllowed
from shuzha.server.commands.output import print_json, print_table

if TYPE_CHECKING:
    from products.registry.receipts import Check

Key = Annotated[str, typer.Option(help="The registry's public key in hex, from a place you trust.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for name, command, said in (
        ("receipt", verify_receipt_file, "Receipts of evidence deposits."),
        ("dossier", verify_dossier_file, "Registration dossiers."),
    ):
        group = typer.Typer(no_args_is_help=True, help=said)
        group.command("verify")(command)
        group.callback()(lambda: None)
        app.add_typer(group, name=name)


def verify_receipt_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The receipt as it was downloaded.")],
    *,
    registry_key: Key,
    output: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="What the receipt is to be about.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify that evidence was deposited when the receipt says, and that an output is the one deposited."""
    from products.registry.receipts import verify_receipt

    given = output.read_bytes() if output is not None else None
    report = verify_receipt(file.read_bytes(), _key(registry_key), given)
    _say(f"{report.subject}, deposited at {report.deposited_at}", report.subject, report.checks, as_json=as_json)


def verify_dossier_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The dossier as it was downloaded.")],
    *,
    registry_key: Key,
    log_key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The audit log's public key, as kept.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify that a registration dossier is the registry's, and that no part was changed, added or taken away.

    With the audit log's key also that the deposit of the evidence stands in that log.
    """
    from products.registry.dossier import verify_dossier

    logged = log_key.read_text("utf-8") if log_key is not None else None
    report = verify_dossier(file.read_bytes(), _key(registry_key), logged)
    _say(f"dossier of {report.subject}", report.subject, report.checks, as_json=as_json)


def _say(title: str, subject: str, checks: Iterable[Check], *, as_json: bool) -> None:
    heads = ("check", "holds", "said")
    rows = [(one.what, one.holds, one.said) for one in checks]
    sound = all(holds for _, holds, _ in rows)
    if as_json:
        print_json({"sound": sound, "subject": subject, "checks": [dict(zip(heads, row, strict=True)) for row in rows]})
    else:
        print_table(title, heads, [(what, "yes" if holds else "NO", said) for what, holds, said in rows])
    if not sound:
        raise NotAllowed("the file does not hold", rule="registry.file")


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Invalid("not an Ed25519 public key", rule="registry.key", accepted="64 hex digits")
    return key

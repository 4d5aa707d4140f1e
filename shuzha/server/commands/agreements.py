"""The command on filed agreements that works on a file alone, with no server: verify one offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shuzha.core.errors import Invalid, NotAllowed
from shuzha.server.commands.output import print_json, print_table

agreement = typer.Typer(no_args_is_help=True, help="Filed agreements: verified offline.")


@agreement.command("verify")
def verify_agreement_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The agreement as it was downloaded.")],
    *,
    platform_key: Annotated[str, typer.Option(help="The platform's public key in hex, from a place you trust.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Verify that both parties signed exactly this agreement and that the platform filed it."""
    from shuzha.authorization.filing import verify_agreement

    try:
        key = bytes.fromhex(platform_key)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Invalid("not an Ed25519 public key", rule="agreement.key", accepted="64 hex digits")
    report = verify_agreement(file.read_bytes(), key)
    heads = ("check", "holds", "said")
    rows = [(one.what, one.holds, one.said) for one in report.checks]
    if as_json:
        checks = [dict(zip(heads, row, strict=True)) for row in rows]
        print_json({
            "sound": report.sound, "authorization": report.authorization, "filing": report.number, "checks": checks,
        })  # fmt: skip
    else:
        told = [(what, "yes" if holds else "NO", said) for what, holds, said in rows]
        print_table(f"{report.number}: authorization {report.authorization}", heads, told)
    if not report.sound:
        raise NotAllowed("the agreement does not hold", rule="agreement.bundle")

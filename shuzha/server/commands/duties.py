"""The commands that act as a person of an installation: import (a provider's), settle (the authority's)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shuzha.core.errors import Invalid, NotFound
from shuzha.core.money import Amount
from shuzha.core.settings import load_settings
from shuzha.server.commands.output import console, print_facts, print_json, print_table, working
from shuzha.server.commands.session import LOGIN, PASSWORD, signed_in

if TYPE_CHECKING:
    from shuzha.people.service import People
    from shuzha.server.importing import Imported
    from shuzha.settlement.model import Draft
    from shuzha.settlement.store import Statement

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="The settings (SHUZHA_SETTINGS, else shuzha.toml).")
]
Login = Annotated[str | None, typer.Option(help=f"The account ({LOGIN}); its password is asked, or {PASSWORD}.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("import")(import_file)
    app.command("settle")(settle)


def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV or Parquet file.")],
    *,
    entry: Annotated[str, typer.Option(help="The entry's code: of a new draft, or of a published entry.")],
    name: Annotated[str, typer.Option(help="What notebooks call the dataset; the file's name by default.")] = "",
    title_zh: Annotated[str, typer.Option(help="The Chinese title.")] = "",
    title_en: Annotated[str, typer.Option(help="The English title.")] = "",
    abstract: Annotated[str, typer.Option(help="What the dataset is.")] = "",
    entity_key: Annotated[
        str | None, typer.Option(help="The column that says whose data a row is; empty where no row is anybody's.")
    ] = None,
    key_columns: Annotated[str, typer.Option(help="The columns that make a row one row, joined by commas.")] = "",
    mode: Annotated[str, typer.Option(help="For a published entry: full, append or merge.")] = "full",
    wait: Annotated[float, typer.Option(help="Seconds to wait for the receipt while the platform runs.")] = 60.0,
    login: Login = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Draft an entry from any file, or deliver a batch to the published entry of this code."""
    from shuzha.catalog.model import Title
    from shuzha.server.importing import Importer, ImportRequest

    request = ImportRequest(
        file, entry, name, Title(title_zh, title_en), abstract, entity_key, _names(key_columns), _mode(mode)
    )
    with signed_in(load_settings(settings), login, context.obj, file) as (platform, actor), working("importing"):
        found = Importer(platform, actor).run(request, wait)
    if as_json:
        print_json(_imported(found))
    else:
        _tell_imported(found, file)
    if found.batch is not None and found.batch.refusal is not None:
        refusal = found.batch.refusal
        raise Invalid(f"batch {found.batch.id}: {refusal.message}", rule=refusal.rule, accepted=refusal.accepted)


def settle(
    context: typer.Context,
    *,
    period: Annotated[str, typer.Option(help="The month, YYYY-MM.")],
    so_far: Annotated[
        bool, typer.Option("--so-far", help="Show the month as it stands, unfinished ones too; store nothing.")
    ] = False,
    login: Login = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Settle a month that is over: bills, shares and providers' statements; a second run changes nothing."""
    with signed_in(load_settings(settings), login, context.obj) as (platform, actor), working("settling"):
        service = platform.settlement
        found = service.so_far(actor, period).statements if so_far else service.settle(actor, period)
        names = {one.subject: _name_of(platform.people, one.subject) for one in found}
    if as_json:
        print_json({"period": period, "final": not so_far, "statements": found})
        return
    rows = [_row(one, names) for one in found]
    headings = ("kind", "subject", "uses", "priced", "waived", "due", "shares")
    print_table(f"statements of {period}, {'so far' if so_far else 'final'} (yuan)", headings, rows)


def _row(one: Draft | Statement, names: Mapping[str, str]) -> tuple[Any, ...]:
    shares = ", ".join(f"{party} {Amount(fen).yuan()}" for party, fen in one.shares.items())
    money = (Amount(fen).yuan() for fen in (one.amount_fen, one.waived_fen, one.due_fen))
    uses = sum(line.count for line in one.lines)
    return (one.kind.value, names[one.subject], uses, *money, shares)


def _name_of(people: People, subject: str) -> str:
    try:
        return people.get_organisation(subject).name
    except NotFound:
        return subject


def _imported(found: Imported) -> dict[str, Any]:
    entry, batch = found.entry, found.batch
    return {
        "entry": {
            "id": entry.id, "code": entry.code, "name": entry.name, "state": entry.state, "grade": entry.grade,
            "subject_kind": entry.subject_kind, "entity_key": entry.entity_key, "key_columns": entry.key_columns,
            "elements": [{"name": one.name, "type": one.type, "role": one.role, "grade": one.grade}
                         for one in entry.elements],
        },
        "findings": found.findings,
        "batch": None if batch is None else {
            "id": batch.id, "state": batch.state, "sha256": batch.sha256, "receipt": batch.receipt,
            "refusal": batch.refusal,
        },
    }  # fmt: skip


def _tell_imported(found: Imported, file: Path) -> None:
    entry, batch = found.entry, found.batch
    seen = {one.element: one for one in found.findings}
    rows = []
    for one in entry.elements:
        finding = seen.get(one.name)
        types, rate = (", ".join(finding.types) or "—", f"{finding.hit_rate:.1%}") if finding else ("—", "")
        rows.append((one.name, one.type, types, rate, one.role, one.grade))
    print_table(f"{file.name}: what was found", ("column", "type", "identifiers", "hit rate", "role", "grade"), rows)
    print_facts(
        f"entry {entry.code}",
        {"id": entry.id, "name": entry.name, "state": entry.state, "grade": entry.grade,
         "whose rows": entry.entity_key or "nobody's: each row is one"},
    )  # fmt: skip
    if batch is None:
        console.print("next: look it over and submit it; the authority publishes it", highlight=False)
        return
    facts: dict[str, Any] = {"state": batch.state, "sha256": batch.sha256}
    if batch.receipt is not None:
        facts |= {"rows": batch.receipt.rows, "raw version": batch.receipt.delta_version}
    elif batch.refusal is None:
        facts["next"] = "it is taken in while the platform runs"
    print_facts(f"batch {batch.id}", facts)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _mode(text: str) -> Any:
    from shuzha.catalog.model import BatchMode

    try:
        return BatchMode(text)
    except ValueError:
        raise Invalid("no such batch mode", rule="batch.mode", accepted=", ".join(BatchMode)) from None

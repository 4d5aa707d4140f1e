"""The commands that work on files alone, with no server: scan, desensitize, risk, check, ledger verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shuzha.core.errors import Invalid, NotAllowed
from shuzha.server.commands.output import console, print_facts, print_json, print_table, working

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV or Parquet file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ledger = typer.Typer(no_args_is_help=True, help="Logs: verify them offline.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("scan")(scan)
    app.command("desensitize")(desensitize_file)
    app.command("risk")(risk)
    app.command("check")(check)
    ledger.command("verify")(verify)
    app.add_typer(ledger, name="ledger")


def scan(
    file: File,
    *,
    as_json: AsJson = False,
    plan: Annotated[Path | None, typer.Option(help="Write the proposed plan here.")] = None,
) -> None:
    """Find identifiers in a file, and propose a role, a grade and a technique for each column."""
    import desensitize

    with working("scanning"):
        report = desensitize.scan(file)
    if plan is not None:
        plan.write_text(report.to_plan().to_toml(), "utf-8")
    if as_json:
        print_json(report.to_dict())
        return
    rows = [
        (
            each.name,
            ", ".join(found.entity for found in each.entities) or "—",
            f"{each.hit_rate:.1%}",
            each.role,
            each.grade,
            each.technique.get("technique"),
        )
        for each in report.columns
    ]
    print_table(
        f"{file.name}: what was found", ("column", "identifiers", "hit rate", "role", "grade", "technique"), rows
    )


def desensitize_file(
    file: File,
    *,
    plan: Annotated[Path, typer.Option(exists=True, help="The plan, a TOML file (`shuzha scan --plan` proposes one).")],
    key_file: Annotated[
        Path, typer.Option(exists=True, help="The pseudonyms' key: a file of mode 0600, 32 bytes or more.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new folder for the release.")],
    as_json: AsJson = False,
) -> None:
    """Transform a file by a plan; the result and its certificate appear whole or not at all."""
    import desensitize
    from shuzha.core.keys import read_secret

    key = read_secret(key_file)
    with working("transforming"):
        release = desensitize.apply(file, desensitize.Plan.from_toml(plan), key=key)
        release.write(output)
    if as_json:
        print_json(release.certificate)
    else:
        console.print(f"written to {output}", highlight=False)


def risk(
    file: File,
    *,
    qi: Annotated[str, typer.Option("--qi", help="Quasi-identifiers, joined by commas.")],
    entity: Annotated[
        str | None, typer.Option(help="The column that says whose data a row is; classes count entities.")
    ] = None,
    mode: Annotated[str, typer.Option(help="public, agreement or enclave: whose limits apply.")] = "agreement",
    as_json: AsJson = False,
) -> None:
    """Measure how likely a person can be found again; ends with 1 when the limits of the mode are not met."""
    import desensitize

    columns = [name.strip() for name in qi.split(",") if name.strip()]
    with working("measuring"):
        found = desensitize.measure_risk(file, columns, entity, limits=desensitize.limits_of(mode))
    facts = found.to_dict()
    if as_json:
        print_json(facts)
    else:
        hidden = {"limits", "profile", "reasons"}
        print_facts(f"{file.name}: re-identification risk", {key: facts[key] for key in facts if key not in hidden})
        print_facts("why", {str(number): reason for number, reason in enumerate(found.reasons, 1)})
    if not found.meets:
        raise NotAllowed(f"the risk exceeds the limits of mode {mode}", rule="risk.limits")


def check(
    file: File,
    *,
    rows: Annotated[str, typer.Option(help="Row columns, joined by commas.")],
    columns: Annotated[str, typer.Option(help="Column columns, joined by commas.")] = "",
    value: Annotated[str | None, typer.Option(help="The column that is aggregated.")] = None,
    aggregate: Annotated[str, typer.Option(help="count, sum, mean …")] = "count",
    entity: Annotated[str | None, typer.Option(help="The column that says whose data a row is.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check the table that these rows would make against the disclosure rules; ends with 1 when it is blocked."""
    from desensitize.tables import open_table
    from sandbox.airlock import disclosure
    from sandbox.airlock.findings import Verdict

    names = [[name.strip() for name in text.split(",") if name.strip()] for text in (rows, columns)]
    if not names[0]:
        raise Invalid("no row columns were named", rule="check.rows", accepted="--rows a,b")
    with working("checking"):
        frame = open_table(file)
        if value is not None:
            frame = frame.with_columns(_as_number(value))
        report = disclosure.check_table(
            frame, rows=names[0], columns=names[1], value=value, aggregate=aggregate, entity=entity
        )
    if as_json:
        print_json(report.as_dict())
    else:
        found = [
            (each.rule, each.severity, each.cell, each.figure, each.limit, each.accepted) for each in report.findings
        ]
        print_table(f"verdict: {report.verdict}", ("rule", "severity", "cell", "figure", "limit", "accepted"), found)
    if report.verdict is Verdict.BLOCK:
        raise NotAllowed("the table is blocked", rule="airlock.disclosure")


def _as_number(column: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - polars is imported late
    import polars as pl

    # A CSV is read as text; what is no number becomes a null, which the rules count.
    return pl.col(column).cast(pl.Float64, strict=False)


def verify(
    folder: Annotated[Path, typer.Argument(help="The log's folder, such as var/data/logs/usage.")],
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint that you kept: finds a cut or forked log.")
    ] = None,
    public_key: Annotated[Path | None, typer.Option(help="The log's public key that you kept.")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a log with the stand-alone verifier: every entry, every checkpoint, every byte."""
    from shuzha.ledger import verify as verifier

    arguments = [str(folder)]
    for name, path in (("--checkpoint", checkpoint), ("--public-key", public_key)):
        arguments += [name, str(path)] if path else []
    raise typer.Exit(verifier.main([*arguments, *(["--json"] if as_json else [])]))

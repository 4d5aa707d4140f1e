"""The commands that work on files alone, with no server: scan, desensitize, risk, check, ledger and bundle verify."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from shuzha.core.errors import Invalid, NotAllowed
from shuzha.server.commands.agreements import agreement
from shuzha.server.commands.language import Speaker, Words
from shuzha.server.commands.output import counting, error_console, print_facts, print_json, print_table, working
from shuzha.server.commands.risk import risk
from shuzha.server.commands.scanning import scan
from shuzha.server.commands.synthetic import synthesize

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV or Parquet file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_WORDS: Words = {
    "scanning": ("scanning", "正在扫描"),
    "transforming": ("transforming", "正在脱敏"),
    "written": ("written to {path}", "已写入 {path}"),
    "files": ("files", "文件数"),
    "rows": ("rows", "行数"),
    "of": ("{made:,} of {given:,}", "{made:,}（原 {given:,}）"),
    "columns": ("columns", "列数"),
    "found": ("found", "识别结果"),
    "direct": ("{count} columns that name somebody", "直接标识 {count} 列"),
    "left out": ("rows left out", "删去的行数"),
    "generalized": ("generalized further", "进一步泛化"),
    "level": ("{name} to level {level}", "{name} 至第 {level} 层"),
    "classes": ("classes", "等价类"),
    "smallest": ("{classes:,}, the smallest of {smallest:,}", "{classes:,} 个，最小的含 {smallest:,}"),
    "risk": ("highest risk of being found", "被识别的最高风险"),
    "before": ("{before:.1%} before, {now:.1%} now", "原为 {before:.1%}，现为 {now:.1%}"),
    "now": ("{now:.1%} now", "现为 {now:.1%}"),
    "limits": ("limits", "限值"),
    "met": ("met (mode {mode})", "符合（模式 {mode}）"),
    "not met": ("not met (mode {mode})", "不符合（模式 {mode}）"),
    "fingerprint": ("key fingerprint", "密钥指纹"),
    "hash": ("content hash", "内容哈希"),
    "withheld": ("withheld: the table is so small that it could be guessed", "不公开：表太小，可由哈希推测内容"),
    "cancelled": ("shuzha: cancelled", "shuzha：已取消"),
}
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
ledger = typer.Typer(no_args_is_help=True, help="Logs: verify them offline, witness them, mirror them.")
bundle = typer.Typer(no_args_is_help=True, help="Release bundles: what left a sandbox, verified offline.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("scan")(scan)
    app.command("desensitize")(desensitize_file)
    app.command("synthesize")(synthesize)
    app.command("risk")(risk)
    app.command("check")(check)
    ledger.command("verify")(verify)
    ledger.command("witness", context_settings=_PASS_ON, add_help_option=False)(witness)
    ledger.command("tiles")(tiles)
    app.add_typer(ledger, name="ledger")
    bundle.command("verify")(verify_bundle_file)
    app.add_typer(bundle, name="bundle")
    app.add_typer(agreement, name="agreement")


def desensitize_file(
    file: Annotated[Path, typer.Argument(exists=True, help="A CSV or Parquet file, or a folder of Parquet files.")],
    *,
    plan: Annotated[Path, typer.Option(exists=True, help="The plan, a TOML file (`shuzha scan --plan` proposes one).")],
    key_file: Annotated[
        Path, typer.Option(exists=True, help="The release's key: a file of mode 0600, 32 bytes or more.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new folder for the release.")],
    part_rows: Annotated[
        int, typer.Option(help="A longer table is written in parts of so many rows; a killed run goes on from them.")
    ] = 5_000_000,
    keep_parts: Annotated[bool, typer.Option(help="Keep finished parts when you end it with Ctrl-C.")] = False,
    discard: Annotated[bool, typer.Option(help="Discard the parts of a killed run first.")] = False,
    shuffle: Annotated[
        bool, typer.Option(help="Write the rows in random order, in one part; what is anonymized always is.")
    ] = False,
    scan: Annotated[
        bool, typer.Option("--scan", help="Scan the file first, so that the certificate says what was found in it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Transform a file by a plan; the result and its certificate appear whole or not at all."""
    import desensitize
    from desensitize.writing import discard_unfinished
    from shuzha.core.keys import read_secret

    speaker, wanted, secret = Speaker(_WORDS), desensitize.Plan.from_toml(plan), read_secret(key_file)
    if discard:
        discard_unfinished(output)
    with _ended_in_order():
        found = None
        if scan:
            with working(speaker.say("scanning")):
                found = desensitize.scan(file, combinations=False).to_dict()
        with counting(speaker.say("transforming")) as progress:
            release = desensitize.apply(file, wanted, key=secret, found=found)
            # Classes span the whole table, so an anonymized one is not made in parts.
            whole = shuffle or wanted.anonymity is not None
            rows = None if whole else part_rows
            release.write(output, part_rows=rows, keep_unfinished=keep_parts, progress=progress, shuffle=whole)
    if as_json:
        print_json(release.certificate)
    else:
        _print_release(speaker, output, release.certificate)


def _print_release(speaker: Speaker, output: Path, certificate: Mapping[str, Any]) -> None:
    """Print what a release is, from its certificate: rows, classes, levels, risk before and after, the content hash."""
    say = speaker.say
    given, made = certificate["input"], certificate["output"]
    facts: dict[str, Any] = {
        say("files"): len(list(output.glob("data*.parquet"))),
        say("rows"): say("of", made=made["rows"], given=given["rows"]),
        say("columns"): len(made["columns"]),
    }
    if found := certificate.get("found"):
        facts[say("found")] = say("direct", count=sum(each["role"] == "direct" for each in found["columns"]))
    if anonymized := certificate["done"].get("anonymized"):
        facts[say("left out")] = f"{anonymized['suppressed']:,}"
        if levels := {name: level for name, level in (anonymized.get("levels") or {}).items() if level}:
            each = (say("level", name=name, level=level) for name, level in levels.items())
            facts[say("generalized")] = ", ".join(each)
    facts |= _risk_facts(speaker, certificate)
    if fingerprint := certificate["done"].get("key_fingerprint"):
        facts[say("fingerprint")] = fingerprint
    facts[say("hash")] = made["content_sha256"] or say("withheld")
    print_facts(say("written", path=output), facts)


def _risk_facts(speaker: Speaker, certificate: Mapping[str, Any]) -> dict[str, str]:
    say, measured, before = speaker.say, certificate.get("measured"), certificate.get("measured_before")
    if not measured:
        return {}
    now = measured["prosecutor"]
    told = say("before", before=before["prosecutor"], now=now) if before else say("now", now=now)
    met = say("met" if certificate["meets_limits"] else "not met", mode=measured["limits"]["mode"])
    classes = say("smallest", classes=measured["classes"], smallest=measured["smallest_class"])
    return {say("classes"): classes, say("risk"): told, say("limits"): met}


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, with what it began cleared away, and say so."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        error_console.print(Speaker(_WORDS).say("cancelled"), style="red")
        raise typer.Exit(3) from None
    finally:
        signal.signal(signal.SIGTERM, before)


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
    """Check the table that these rows would make against the disclosure rules; ends with 1 when it is blocked.

    Of a blocked table it also says which repairs were tried on these rows and would pass.
    """
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
        mends = _repairs(frame, names, value, aggregate, entity) if report.verdict is Verdict.BLOCK else []
    if as_json:
        print_json(report.as_dict() | {"repairs": mends})
    else:
        found = [
            (each.rule, each.severity, each.cell, each.figure, each.limit, each.accepted) for each in report.findings
        ]
        print_table(f"verdict: {report.verdict}", ("rule", "severity", "cell", "figure", "limit", "accepted"), found)
        if mends:
            said = [(each["name"], each["says"], each["shown"], each["hidden"]) for each in mends]
            print_table("repairs that would pass", ("repair", "what it does", "cells shown", "left out"), said)
    if report.verdict is Verdict.BLOCK:
        raise NotAllowed("the table is blocked", rule="airlock.disclosure")


def _repairs(frame: Any, names: list[list[str]], value: str | None, aggregate: str, entity: str | None) -> list[Any]:
    """Return the repairs that would make the table pass, as plain JSON; none for a figure that no rule covers."""
    from sandbox.airlock import repairs
    from sandbox.airlock.rules import Rules
    from sandbox.airlock.specification import Aggregate, TableSpecification, check_specification

    if aggregate not in set(Aggregate):
        return []
    asked = TableSpecification("file", names[0], names[1], value=value, aggregate=Aggregate(aggregate))
    try:
        check_specification(asked)
        return [one.as_dict() for one in repairs.suggest(asked, frame, entity=entity, rules=Rules())]
    except Invalid:
        return []  # The rules can judge it, the airlock would not take it: there is nothing to repair.


def _as_number(column: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - polars is imported late
    import polars as pl

    # A CSV is read as text; what is no number becomes a null, which the rules count.
    return pl.col(column).cast(pl.Float64, strict=False)


def verify(
    folder: Annotated[Path | None, typer.Argument(help="The log's folder, such as var/data/logs/usage.")] = None,
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint that you kept: finds a cut or forked log.")
    ] = None,
    public_key: Annotated[Path | None, typer.Option(help="The log's public key that you kept.")] = None,
    witness: Annotated[Path | None, typer.Option(help="A witness's public key: its cosignature is asked for.")] = None,
    proof: Annotated[Path | None, typer.Option(help="Verify the proof of one entry instead of a folder.")] = None,
    consistency: Annotated[Path | None, typer.Option(help="Verify that a log only grew since --checkpoint.")] = None,
    note: Annotated[Path | None, typer.Option(help="Verify one checkpoint.")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a log with the stand-alone verifier: every entry, every checkpoint, every byte; or one proof."""
    from shuzha.ledger import verify as verifier

    arguments = [] if folder is None else [str(folder)]
    given = {
        "--checkpoint": checkpoint, "--public-key": public_key, "--witness": witness, "--proof": proof,
        "--consistency": consistency, "--note": note,
    }  # fmt: skip
    for name, path in given.items():
        arguments += [name, str(path)] if path else []
    raise typer.Exit(verifier.main([*arguments, *(["--json"] if as_json else [])]))


def witness(context: typer.Context) -> None:
    """Be a witness of logs, on a machine of your own: init, add, once, run, serve. `--help` says what each takes."""
    from shuzha.ledger import witness as alone

    raise typer.Exit(alone.main(context.args))


def tiles(
    folder: Annotated[Path, typer.Argument(help="The log's folder, such as var/data/logs/usage.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the files go; run again, it adds what is new.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Write a log's tiles as static files (C2SP tlog-tiles) for a mirror: hashes and commitments, never a payload."""
    from shuzha.ledger.reader import LogReader
    from shuzha.ledger.tiles import write_tiles

    written = write_tiles(LogReader(folder), output)
    if as_json:
        print_json({"written": written})
    else:
        typer.echo(f"{written} files are new in {output}")


def verify_bundle_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The bundle that came with the output.")],
    *,
    airlock_key: Annotated[str, typer.Option(help="The airlock's public key, 64 hex digits, from a place you trust.")],
    log_key: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The audit log's public key, likewise.")],
    output: Annotated[list[str], typer.Option(help="NAME=FILE: an output that the record is to be about. Repeat it.")],
    as_json: AsJson = False,
) -> None:
    """Verify that an output left by a signed release record which stands in the audit log."""
    from sandbox.airlock.bundle import verify_bundle

    outputs = {}
    for one in output:
        name, equals, path = one.partition("=")
        if not equals:
            raise Invalid("an output is given as NAME=FILE", rule="bundle.output", accepted="by_district=table.csv")
        outputs[name] = Path(path).read_bytes()
    report = verify_bundle(file.read_bytes(), outputs, _key_bytes(airlock_key), log_key.read_text("utf-8"))
    heads = ("check", "holds", "said")
    rows = [(one.what, one.holds, one.said) for one in report.checks]
    if as_json:
        checks = [dict(zip(heads, row, strict=True)) for row in rows]
        print_json({"sound": report.sound, "request": report.request, "checks": checks})
    else:
        print_table(f"request {report.request}", heads, rows)
    if not report.sound:
        raise NotAllowed("the bundle does not hold", rule="airlock.bundle")


def _key_bytes(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise Invalid("not an Ed25519 public key", rule="bundle.key", accepted="64 hex digits")
    return raw

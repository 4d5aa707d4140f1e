"""The commands that need an installation: serve, demo, doctor, backup, restore."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from shuzha.core.errors import Unavailable
from shuzha.core.logs import start_logging
from shuzha.core.settings import Settings, load_settings
from shuzha.server.commands.output import console, print_json, print_table, working

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="The settings (SHUZHA_SETTINGS, else shuzha.toml).")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("serve")(serve)
    app.command("demo")(demo)
    app.command("doctor")(doctor)
    app.command("backup")(backup)
    app.command("restore")(restore)


def serve(*, settings: SettingsFile = None) -> None:
    """Start the platform and keep its processes running until a signal stops it."""
    from shuzha.server.running import RunningPlatform

    start_logging()
    running = RunningPlatform(load_settings(settings))
    running.start()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: running.request_stop())
    _tell_addresses(running.platform.settings)
    try:
        running.wait()
    finally:
        running.stop()


def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="Stop the platform at the end.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON here.")] = None,
    data: Annotated[Path, typer.Option(help="The demonstration's data folder; it is made new.")] = Path("var/demo"),
    residents: Annotated[int, typer.Option(help="People in the invented city.")] = 100_000,
    enterprises: Annotated[int, typer.Option(help="Enterprises in it.")] = 20_000,
    insurance_rows: Annotated[int, typer.Option(help="Rows of social insurance.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same city.")] = 20261101,
    source: Annotated[
        Path | None,
        typer.Option("--input", exists=True, dir_okay=False, help="Walk this CSV or Parquet file instead of a city."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk one dataset of an invented city, or a file of yours, through the ten hops, on a real platform."""
    from shuzha.server.demo.run import CitySize, run_demo

    size = CitySize(seed, residents, enterprises, insurance_rows)
    run_demo(data, size, once=once, report=report, as_json=as_json, source=source)


def doctor(*, settings: SettingsFile = None, as_json: AsJson = False) -> None:
    """Say what this host lacks, and the one thing to do about it; ends with 3 when something needed is missing."""
    from shuzha.server import doctor as examination

    with working("examining"):
        checks = examination.examine(load_settings(settings))
    if as_json:
        print_json(checks)
    else:
        rows = [(each.sign, each.name, each.found, "" if each.ok else each.mend) for each in checks]
        print_table("doctor", ("", "what", "found", "how to mend it"), rows)
    missing = [each.name for each in examination.missing(checks)]
    if missing:
        raise Unavailable(f"missing: {', '.join(missing)}")


def backup(
    target: Annotated[Path, typer.Argument(help="The new folder for the backup.")],
    *,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Back up records, usage, logs, lake, releases, vault, products and keys, while the platform runs."""
    from shuzha.server import backup as archive

    chosen = load_settings(settings)
    with working("backing up"):
        manifest = archive.backup(chosen, target, chosen.clock())
    if as_json:
        print_json({"files": len(manifest.files), "bytes": manifest.size, "taken_at": manifest.taken_at})
    else:
        console.print(
            f"{len(manifest.files)} files, {manifest.size:,} bytes in {target}; it holds the keys: keep it closed"
        )


def restore(
    source: Annotated[Path, typer.Argument(help="A backup's folder.")],
    *,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Restore a backup into the empty data folder of the settings, and verify both logs."""
    from shuzha.ledger import verify as verifier
    from shuzha.server import backup as archive

    chosen = load_settings(settings)
    with working("restoring"):
        manifest = archive.restore(source, chosen.data)
    logs = {name: chosen.folder("logs") / name for name in ("audit", "usage")}
    reports = {name: verifier.verify_folder(path, None, None, None) for name, path in logs.items() if path.exists()}
    if as_json:
        print_json({"files": len(manifest.files), "logs": {name: report.sound for name, report in reports.items()}})
    else:
        for name, report in reports.items():
            console.print(f"log {name}: {report.size} entries, {'sound' if report.sound else 'NOT SOUND'}")
    if not all(report.sound for report in reports.values()):
        raise Unavailable("a restored log is not sound", accepted="`shuzha ledger verify` names the entry")


def _tell_addresses(settings: Settings) -> None:
    console.print(f"portal   {settings.portal_url}", highlight=False)
    console.print(f"API      {settings.api_url}", highlight=False)
    console.print(f"sandbox  {settings.sandbox_url}", highlight=False)

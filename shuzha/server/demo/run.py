"""`shuzha demo`: a platform on an invented city or a given file, ten hops told one by one, then stay up or stop."""

from __future__ import annotations

import logging
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.markup import escape
from rich.table import Table

from shuzha import __version__
from shuzha.core.errors import Invalid
from shuzha.core.settings import Settings, load_settings
from shuzha.server.commands.output import console, print_json, working
from shuzha.server.demo.cast import PARTS, enrol, password_of, write_accounts
from shuzha.server.demo.city import City, generate
from shuzha.server.demo.client import Portal
from shuzha.server.demo.file_journey import FileJourney
from shuzha.server.demo.journey import Journey
from shuzha.server.demo.walk import Hop, Tell, Walk
from shuzha.server.platform import Platform
from shuzha.server.running import RunningPlatform

_MARK = ".shuzha-demo"
MakeWalk = Callable[[Platform, str, Tell], Walk]


@dataclass(frozen=True, slots=True)
class CitySize:
    """How large the invented city is."""

    seed: int = 20261101
    residents: int = 100_000
    enterprises: int = 20_000
    insurance_rows: int = 1_000_000


def run_demo(
    folder: Path, size: CitySize, *, once: bool, report: Path | None, as_json: bool, source: Path | None = None
) -> None:
    """Run the demonstration in a folder of its own, made new; with `once` the platform is stopped at the end.

    With `source`, a CSV or Parquet file, the journey is that file's, and no city is made.
    """
    logging.basicConfig(level=logging.WARNING)
    began = time.monotonic()
    settings = demo_settings(folder)
    make_walk, subject = _subject_of(folder, size, source)
    password = password_of(folder / "password")
    running = RunningPlatform(settings)
    try:
        with working("starting the platform"):
            running.start()
            enrol(running.platform.people, Portal(settings), password)
        journey = make_walk(running.platform, password, (lambda _hop: None) if as_json else _tell)
        hops = journey.walk()
        found = report_of(hops, journey.made, subject, time.monotonic() - began)
        if report is not None:
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
        write_accounts(folder / "accounts.json", _addresses(settings), password)
        if as_json:
            print_json(found)
        else:
            _tell_end(found)
        if not once:
            _stay(running, settings, password)
    finally:
        running.stop()


def demo_settings(folder: Path) -> Settings:
    """Return the settings of a demonstration in this folder; ports may be set by the environment."""
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise Invalid(
            f"{folder} holds something that no demo made", rule="demo.folder", accepted="--data another folder"
        )
    shutil.rmtree(folder / "data", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    (folder / _MARK).touch()
    settings = load_settings(folder / "settings.toml")
    return Settings(**{**settings.as_dict(), "data": (folder / "data").absolute(), "demo": True})  # type: ignore[arg-type]


def make_city(folder: Path, size: CitySize) -> City:
    """Return the city of this size, made where it is not there yet."""
    name = f"city-{size.seed}-{size.residents}-{size.enterprises}-{size.insurance_rows}"
    return generate(
        folder / name, size.seed, residents=size.residents, enterprises=size.enterprises,
        insurance_rows=size.insurance_rows, trips=size.residents // 10,
    )  # fmt: skip


def summary(hops: tuple[Hop, ...], made: Mapping[str, Any], size: CitySize, seconds: float) -> dict[str, Any]:
    """Return the report of a walk over the city: one object a hop, and the figures that the whole is judged by."""
    return report_of(hops, made, {"synthetic": True, "city": asdict(size)}, seconds)


def report_of(
    hops: tuple[Hop, ...], made: Mapping[str, Any], subject: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """Return the report of any walk; `subject` says over what data."""
    return {
        "shuzha": __version__,
        **subject,
        "seconds": round(seconds, 1),
        "hops": [asdict(hop) for hop in hops],
        "product_code": made.get("product_code"),
        "calls": made.get("calls"),
        "billed_fen": made.get("billed_fen"),
        "shares_fen": made.get("shares_fen"),
        "log": made.get("log"),
    }


def _subject_of(folder: Path, size: CitySize, source: Path | None) -> tuple[MakeWalk, dict[str, Any]]:
    if source is not None:
        file = source.absolute()
        # Nobody here knows whether the rows of a given file are of real people: the report does not say.
        about: dict[str, Any] = {"synthetic": None, "input": {"file": file.name, "bytes": file.stat().st_size}}
        return lambda platform, password, tell: FileJourney(platform, file, password, tell), about
    with working("making the city"):
        city = make_city(folder, size)
    about = {"synthetic": True, "city": asdict(size)}
    return lambda platform, password, tell: Journey(platform, city, password, tell), about


def _tell(hop: Hop) -> None:
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=10, style="bold")
    line.add_column(width=8, justify="right", no_wrap=True)
    line.add_column()
    line.add_row(hop.id, f"{hop.seconds:.1f} s", escape(hop.proved))
    console.print(line, highlight=False)


def _tell_end(found: Mapping[str, Any]) -> None:
    console.print(f"ten hops in {found['seconds']} s; product {found['product_code']}", highlight=False)


def _addresses(settings: Settings) -> dict[str, str]:
    return {"portal": settings.portal_url, "api": settings.api_url, "sandbox": settings.sandbox_url}


def _stay(running: RunningPlatform, settings: Settings, password: str) -> None:
    console.print("\nThe platform is running; Ctrl-C ends it.", highlight=False)
    for name, address in _addresses(settings).items():
        console.print(f"  {name:<8} {address}", highlight=False)
    logins = ", ".join(part.login for part in PARTS)
    console.print(f"  accounts admin, {logins}\n  password {password}", highlight=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.request_stop())
    running.wait()

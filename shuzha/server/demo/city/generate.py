"""Write the registers of the made-up city to a folder.

Words: a *register* is one file of rows; a *city* is the folder with all of them and `README.json`, which says
that every row is invented. The same seed and sizes give the same
bytes. `README.json` is written last: a folder without it is not a city.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from shuzha.server.demo.city import columns, draws
from shuzha.server.demo.city.companies import enterprises as make_enterprises
from shuzha.server.demo.city.insurance import social_insurance as make_insurance
from shuzha.server.demo.city.people import residents as make_residents
from shuzha.server.demo.city.transit import transit_trips as make_trips

VERSION = 1
TODAY = dt.date(2026, 11, 1)
LATEST_MONTH = dt.date(2026, 10, 1)
README = "README.json"
STATEMENT = (
    "Synthetic data made by a seeded generator. No row is about a real person or organisation; "
    "a number that also exists is chance. 合成数据，由带种子的生成器产生，不含任何真实个人或组织的信息。"
)


@dataclass(frozen=True, slots=True)
class Register:
    """One file of the city: name, place, format (`csv` or `parquet`), rows and the SHA-256 of its bytes."""

    name: str
    path: Path
    format: str
    rows: int
    sha256: str

    def scan(self) -> pl.LazyFrame:
        """Return the register as a lazy table; in a CSV every column but dates is text or as typed in `columns`."""
        if self.format == "parquet":
            return pl.scan_parquet(self.path)
        return pl.scan_csv(self.path, schema=columns.schema(self.name))


@dataclass(frozen=True, slots=True)
class City:
    """A folder of registers. `months` are those that social insurance covers whole, newest first."""

    directory: Path
    seed: int
    registers: tuple[Register, ...]
    months: tuple[str, ...]

    def register(self, name: str) -> Register:
        """Return the register called `name`; refuses an unknown name."""
        for register in self.registers:
            if register.name == name:
                return register
        raise KeyError(f"no register {name!r}; the city has {', '.join(one.name for one in self.registers)}")

    def path(self, name: str) -> Path:
        """Return the file of the register called `name`."""
        return self.register(name).path


def generate(
    directory: Path | str,
    seed: int = 20261101,
    *,
    residents: int = 100_000,
    enterprises: int = 20_000,
    insurance_rows: int = 1_000_000,
    trips: int = 300_000,
    progress: Callable[[str], None] = lambda _: None,
) -> City:
    """Write a city and return it; the same arguments give the same bytes.

    `progress` hears each register's name when it is written. Refuses negative sizes, and insurance
    rows or trips without residents.
    """
    _check_sizes(residents, enterprises, insurance_rows, trips)
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / README).unlink(missing_ok=True)
    written: list[Register] = []

    def keep(name: str, file_format: str, frame: pl.DataFrame) -> None:
        written.append(_write(folder, name, file_format, frame, seed))
        progress(name)

    people = make_residents(draws.stream(seed, "residents"), residents, TODAY)
    keep("residents", "csv", people)
    firms = make_enterprises(draws.stream(seed, "enterprises"), enterprises, people, TODAY)
    keep("enterprises", "csv", firms)
    insurance = make_insurance(draws.stream(seed, "social_insurance"), insurance_rows, people, firms, LATEST_MONTH)
    keep("social_insurance", "parquet", insurance)
    months = tuple(sorted(insurance["period"].unique().to_list(), reverse=True))
    keep("transit_trips", "parquet", make_trips(draws.stream(seed, "transit_trips"), trips, people, LATEST_MONTH))
    city = City(folder, seed, tuple(written), months[:-1] or months)
    _write_text(folder / README, json.dumps(_readme(city), ensure_ascii=False, indent=2) + "\n")
    return city


def find_city(directory: Path | str) -> City | None:
    """Return the city that is whole in `directory` and made by this version of the generator, or None."""
    folder = Path(directory)
    try:
        told = json.loads((folder / README).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if told.get("version") != VERSION:
        return None
    registers = tuple(
        Register(one["name"], folder / one["file"], one["format"], one["rows"], one["sha256"])
        for one in told["registers"]
    )
    return City(folder, told["seed"], registers, tuple(told["months"]))


def _check_sizes(residents: int, enterprises: int, insurance_rows: int, trips: int) -> None:
    sizes = {"residents": residents, "enterprises": enterprises, "insurance_rows": insurance_rows, "trips": trips}
    for name, size in sizes.items():
        if size < 0:
            raise ValueError(f"cannot make a city: {name} is negative; zero or more is accepted")
    if not residents and (insurance_rows or trips):
        raise ValueError("cannot make a city: insurance rows and trips need residents")


def _write(folder: Path, name: str, file_format: str, frame: pl.DataFrame, seed: int) -> Register:
    path = folder / f"{name}.{file_format}"
    partial = path.with_suffix(path.suffix + ".partial")
    if file_format == "csv":
        frame.write_csv(partial)
        sidecar = {
            "@context": "http://www.w3.org/ns/csvw",
            "url": path.name,
            "dc:description": STATEMENT,
            "synthetic": True,
            "seed": seed,
        }
        _write_text(
            path.with_name(path.name + "-metadata.json"), json.dumps(sidecar, ensure_ascii=False, indent=2) + "\n"
        )
    else:
        frame.write_parquet(partial, metadata={"synthetic": "true", "statement": STATEMENT, "seed": str(seed)})
    partial.replace(path)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Register(name, path, file_format, frame.height, digest)


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)


def _readme(city: City) -> dict[str, Any]:
    return {
        "synthetic": True,
        "statement": STATEMENT,
        "version": VERSION,
        "seed": city.seed,
        "today": TODAY.isoformat(),
        "months": list(city.months),
        "registers": [
            {
                "name": one.name,
                "file": one.path.name,
                "format": one.format,
                "rows": one.rows,
                "sha256": one.sha256,
                "entity_key": columns.ENTITY_KEYS[one.name],
                "columns": [column.as_dict() for column in columns.COLUMNS[one.name]],
            }
            for one in city.registers
        ],
    }

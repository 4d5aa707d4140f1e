"""What is kept of a released output in the records: where its population lies, and what a checker reads of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from shuzha.core.records import Noun


@dataclass(frozen=True, slots=True)
class KeptOutput:
    """One released output as the memory keeps it; recalled ones stay, since they were seen.

    `sha256` is of the population's file in the memory zone, `fingerprint` of what it says, `content` of the bytes that
    left (empty for what left before that was kept). `rows_are_entities` holds
    for an entry without an entity key: such a population can be compared within its release only.
    """

    id: str
    entry: str
    organisation: str
    export: str
    file: str
    form: str
    release: str
    raw_version: int
    specification: str
    family: str
    cells: int
    entities: int
    fingerprint: str
    sha256: str
    kept_at: dt.datetime
    rows_are_entities: bool = False
    content: str = ""
    revision: int = 1


KEPT = Noun("kept_outputs", KeptOutput, unique=[("export", "file")], index=["entry", "export", "organisation"])

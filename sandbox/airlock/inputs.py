"""What a specification may read, as the platform reads it: a release's file, or the raw entry cut to its grant."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from sandbox.airlock.recompute import condition
from shuzha.authorization.model import Grant
from shuzha.authorization.store import GRANTS
from shuzha.catalog.lake import RawZone
from shuzha.catalog.model import Role
from shuzha.catalog.store import ENTRIES
from shuzha.core.errors import Invalid
from shuzha.core.work import Database
from shuzha.releases.certificate import DATA_FILE
from shuzha.releases.model import Release, ReleaseState
from shuzha.releases.store import RELEASES


@dataclass(frozen=True, slots=True)
class Source:
    """A table that a specification reads, with what stands behind it.

    `entity` is the column that says whose data a row is; `entity_missing` is true where the entry has one and this
    table has not. `naming` are the columns that name somebody or may hold anything, by the catalogue.
    """

    release: str
    name: str
    grant: str
    demand: str
    authorization: str
    operator: str
    entry: str
    entry_code: str
    entry_name: str
    version: int
    entity: str | None
    entity_missing: bool
    columns: tuple[str, ...]
    frame: pl.LazyFrame
    naming: frozenset[str] = frozenset()


class Inputs(Protocol):
    """Where the airlock's own computation gets its tables."""

    def release(self, release_id: str) -> Source:
        """Return the table of a release; raises Invalid where it is not ready or not whole."""
        ...

    def entry(self, release_id: str) -> Source:
        """Return the raw rows and columns that the release's grant allows."""
        ...


class PlatformInputs:
    """The inputs of an installation, read from its records, its releases and its raw zone."""

    def __init__(self, database: Database, zone: RawZone, release_folder: Callable[[Release], Path]) -> None:
        self._database = database
        self._zone = zone
        self._release_folder = release_folder

    def release(self, release_id: str) -> Source:
        """Return the table of a release, its file checked against the hash in its record."""
        release, grant = self._find(release_id)
        path = self._release_folder(release) / DATA_FILE
        if release.state is not ReleaseState.READY or not path.exists():
            raise Invalid(f"release {release_id} is {release.state}", rule="export.release", accepted="a ready release")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != release.sha256:
                raise Invalid(f"the file of release {release_id} was changed", rule="export.release")
        return self._source(release, grant, pl.scan_parquet(path, glob=False))

    def entry(self, release_id: str) -> Source:
        """Return the newest raw rows that the release's grant allows, in its columns."""
        release, grant = self._find(release_id)
        raw = self._zone.scan(release.entry)
        names = raw.collect_schema().names()
        rows = raw.filter(condition(grant.row_filter, raw.collect_schema()))
        return self._source(release, grant, rows.select(name for name in names if name in grant.scope.columns))

    def _find(self, release_id: str) -> tuple[Release, Grant]:
        with self._database.read() as work:
            release = work.get(RELEASES, release_id)
            return release, work.get(GRANTS, release.grant)

    def _source(self, release: Release, grant: Grant, frame: pl.LazyFrame) -> Source:
        with self._database.read() as work:
            entry = work.get(ENTRIES, release.entry)
        columns = tuple(frame.collect_schema().names())
        key = entry.entity_key
        naming = frozenset(one.name for one in entry.elements if one.role in (Role.DIRECT, Role.FREE_TEXT))
        return Source(
            release=release.id, name=release.name, grant=grant.id, demand=grant.demand,
            authorization=grant.authorization,
            operator=grant.operator, entry=entry.id, entry_code=entry.code, entry_name=entry.name,
            version=release.raw_version, entity=key if key in columns else None,
            entity_missing=key is not None and key not in columns, columns=columns, frame=frame,
            naming=naming,
        )  # fmt: skip


def find_source(sources: Sequence[Source], asked: str, *, by_entry: bool) -> Source:
    """Return the source that a specification names: a release by id or name, or an entry by id, code or name.

    Refuses a name that none or two of the request's sources have.
    """
    found = [
        source
        for source in sources
        if asked
        in ((source.entry, source.entry_code, source.entry_name) if by_entry else (source.release, source.name))
    ]
    if by_entry:
        # Two releases of one grant, such as its rows and a synthetic table, stand for the same raw rows.
        found = list({(source.entry, source.grant): source for source in found}.values())
    if len(found) != 1:
        what = "an entry" if by_entry else "a release"
        known = ", ".join(sorted({source.name for source in sources}))
        raise Invalid(
            f"the specification names {what} that the request has not, or has twice",
            rule="export.inputs",
            accepted=known,
        )
    return found[0]

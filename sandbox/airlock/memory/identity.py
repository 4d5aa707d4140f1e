"""Who is who across releases: the entities of a release as keyed hashes of the raw entities that they stand for.

Releases of two authorizations write one person in two ways that nobody can join. The platform can: it makes each
pseudonym again from the raw entity key. What that gives is kept nowhere, so an exit that destroys a scenario's key
leaves nothing behind that would join its pseudonyms; the memory keeps hashes of its own.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import polars as pl

from desensitize.release import apply
from desensitize.transform.keys import SecretKey
from desensitize.transform.plan import Plan
from desensitize.transform.pseudonyms import pseudonymize
from desensitize.transform.techniques import Pseudonymize
from sandbox.airlock.inputs import Source
from sandbox.airlock.memory.population import ENTITY, HASH
from shuzha.catalog.lake import RawZone
from shuzha.core.errors import Invalid
from shuzha.core.keys import KeyRing
from shuzha.core.work import Database
from shuzha.releases.store import RELEASES

PURPOSE = "airlock memory"


class Identities(Protocol):
    """Whoever knows which entity of the entry stands behind what a source writes."""

    def of_release(self, source: Source) -> pl.LazyFrame:
        """Return ENTITY (as the release writes it) and HASH (UInt64): each of its entities once."""
        ...

    def of_entry(self, source: Source) -> pl.LazyFrame:
        """Return ENTITY (as the raw rows have it) and HASH."""
        ...

    def key(self, entry: str) -> bytes:
        """Return the 32-byte key of an entry's marks."""
        ...


class PlatformIdentities:
    """The identities of an installation, made from the raw zone and the keys each time they are asked for."""

    def __init__(self, database: Database, zone: RawZone, keys: KeyRing) -> None:
        self._database = database
        self._zone = zone
        self._keys = keys

    def of_release(self, source: Source) -> pl.LazyFrame:
        """Return each entity of a release with its hash; where rows are entities, each row's by its number."""
        with self._database.read() as work:
            release = work.get(RELEASES, source.release)
        if source.entity is None:
            return number_rows(source, release.sha256)
        technique = Plan.from_toml(release.plan_toml).columns[source.entity]
        raw = self._zone.scan(release.entry, release.raw_version).select(pl.col(source.entity).alias(ENTITY))
        known = raw.drop_nulls().unique().collect(engine="streaming")
        secret = self._keys.scenario_key(release.authorization, release.demand, "pseudonym")
        written = apply(known, Plan({ENTITY: technique}), secret).frame.collect()
        return pl.concat([written, self._hashes(source.entry, known)], how="horizontal").unique(ENTITY).lazy()

    def of_entry(self, source: Source) -> pl.LazyFrame:
        """Return each entity of the raw rows with its hash."""
        if source.entity is None:
            raise Invalid(f"entry {source.entry_code} has no entity key", rule="airlock.memory")
        known = (
            source.frame.select(pl.col(source.entity).alias(ENTITY)).drop_nulls().unique().collect(engine="streaming")
        )
        return pl.concat([known, self._hashes(source.entry, known)], how="horizontal").lazy()

    def key(self, entry: str) -> bytes:
        """Return the key of an entry's marks."""
        return self._keys.derive(PURPOSE, "marks", entry)

    def _hashes(self, entry: str, known: pl.DataFrame) -> pl.DataFrame:
        # HMAC-SHA-256 cut to 64 bits: among ten million entities two meet with probability 3 in a million.
        key = SecretKey(self._keys.derive(PURPOSE, "entities", entry))
        text = pseudonymize(pl.col(ENTITY).cast(pl.String), Pseudonymize(length=16, normalize=True), key)
        hashed = known.select(text.alias(HASH))
        return hashed.select(pl.col(HASH).str.to_integer(base=16, dtype=pl.UInt64))


def number_rows(source: Source, name: str) -> pl.LazyFrame:
    """Return the numbers of a table's rows as entities, with a hash of number and `name`.

    Rows of another release are other entities, whatever they say: such outputs are not compared (`Compared.unlike`).
    """
    # Half of the range: adding the number never overflows.
    base = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1
    rows = source.frame.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ENTITY))
    return rows.with_columns((pl.col(ENTITY).cast(pl.UInt64) + base).alias(HASH))

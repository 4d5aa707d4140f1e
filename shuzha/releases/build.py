"""Builds the folder of a release: whole or not at all, and the same again when it is asked twice.

Work is done in a hidden folder beside the final one, on the same disk, and renamed at the end. A lock per release keeps
two workers apart; what a dead one left behind is swept by the next.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from desensitize.errors import DesensitizeError
from desensitize.release import Release as Desensitized
from desensitize.release import apply, protect
from desensitize.risk.joined import measure_joined_risk
from desensitize.transform.plan import Plan
from desensitize.transform.techniques import Pseudonymize
from shuzha.authorization.model import Grant
from shuzha.authorization.scope import filter_text
from shuzha.catalog.lake import RawZone
from shuzha.catalog.model import Entry
from shuzha.core.errors import Invalid
from shuzha.core.keys import KeyRing
from shuzha.releases import certificate as paper
from shuzha.releases.filters import to_expression
from shuzha.releases.leaks import check_leaks
from shuzha.releases.model import NOT_MEASURED, NOT_PROMISED, Release, ReleaseKind, RiskPolicy
from shuzha.releases.planning import found_in, make_plan
from shuzha.releases.synthetic import Purse, write_synthetic

WORK_FOLDER = ".building"
_FILES = (paper.DATA_FILE, paper.PLAN_FILE)


class ReleaseBuilder:
    """The only part that reads raw rows into a release; a process of the platform runs it.

    The folder of releases can be passed through but not listed by others, so a jail reaches what is mounted for it
    and nothing that it cannot name.
    """

    def __init__(self, folder: Path, zone: RawZone, keys: KeyRing, policy: RiskPolicy, purse: Purse) -> None:
        self._folder = folder
        self._purse = purse
        self._zone = zone
        self._keys = keys
        self._policy = policy
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
        self._work = folder / WORK_FOLDER
        self._work.mkdir(exist_ok=True, mode=0o700)

    def path(self, release: Release) -> Path:
        """Return the folder of a release's files."""
        return self._folder / release.folder

    @property
    def public_key(self) -> bytes:
        """The raw Ed25519 key that certificates are checked with."""
        return self._keys.signing_key(paper.SIGNING_KEY).public_key().public_bytes_raw()

    def build(
        self, release: Release, grant: Grant, entry: Entry, made_at: str, earlier: Sequence[Release] = ()
    ) -> Path:
        """Return the finished folder; one that is there and whole is kept as it is.

        `earlier` are the scenario's ready releases, which someone can join with this one. Refuses what the engine
        refuses: a table that cannot meet the limits, an entity key with nulls. A synthetic one is paid for once: what
        an earlier attempt paid stands, and nothing that it made was ever seen.
        """
        with self._lock(release):
            target = self.path(release)
            if target.exists():
                if not paper.verify_release(target, self.public_key):
                    return target
                _remove(target)
            work = self._work / release.id
            _remove(work)
            work.mkdir(mode=0o700)
            try:
                made = self._write(work / "table", release, grant, entry, made_at, earlier)
                _publish(made, target)
            finally:
                _remove(work)
        return target

    def remove(self, release: Release) -> None:
        """Remove the files of a release, and what an interrupted build left; nothing there is no error."""
        with self._lock(release):
            _remove(self._work / release.id)
            _remove(self.path(release))

    def _write(
        self, folder: Path, release: Release, grant: Grant, entry: Entry, made_at: str, earlier: Sequence[Release]
    ) -> Path:
        if release.kind is ReleaseKind.SYNTHETIC:
            frame = self._cut(release, grant, entry)
            part = write_synthetic(folder, release, grant, entry, frame, self._purse)
        else:
            part = self._write_rows(folder, release, grant, entry, earlier)
        return self._sign(folder, _head(release, grant, entry, made_at) | part)

    def _write_rows(
        self, folder: Path, release: Release, grant: Grant, entry: Entry, earlier: Sequence[Release]
    ) -> dict[str, Any]:
        try:
            frame = self._cut(release, grant, entry)
            plan = make_plan(entry, grant.scope.columns, self._policy, frame)
            table = self._desensitize(frame, plan, release, entry)
            # In the order of the raw rows, releases of two authorizations would be joined row by row.
            table.write(folder, shuffle=True)
            check_leaks(folder / paper.DATA_FILE, plan, entry)
            joined = self._join(folder / paper.DATA_FILE, release, plan, table, earlier)
        except DesensitizeError as error:
            raise Invalid(f"cannot release entry {entry.code}: {error}", rule="release.risk") from None
        except pl.exceptions.PolarsError as error:
            raise _unreadable(entry, error) from None
        (folder / paper.PLAN_FILE).write_text(plan.to_toml(), "utf-8")
        return _say_rows(entry, plan, table, joined)

    def _sign(self, folder: Path, content: dict[str, Any]) -> Path:
        written = paper.write_certificate(content | {"files": paper.describe_files(folder, _FILES)})
        (folder / paper.CERTIFICATE_FILE).write_bytes(written)
        signature = paper.sign_certificate(written, self._keys.signing_key(paper.SIGNING_KEY))
        (folder / paper.SIGNATURE_FILE).write_text(signature + "\n", "ascii")
        return folder

    def _cut(self, release: Release, grant: Grant, entry: Entry) -> pl.LazyFrame:
        """Return the raw rows and columns that the grant allows, and the entity key, by which classes are counted."""
        raw = self._zone.scan(release.entry, release.raw_version)
        try:
            schema = raw.collect_schema()
        except pl.exceptions.PolarsError as error:
            raise _unreadable(entry, error) from None
        needed = grant.scope.columns | ({entry.entity_key} if entry.entity_key else set())
        names = [element.name for element in entry.elements if element.name in needed and element.name in schema]
        missing = sorted(needed - set(names))
        if missing:
            raise Invalid(
                f"the raw data of entry {entry.code} lacks `{missing[0]}`", rule="release.columns",
                accepted="a batch with every granted column",
            )  # fmt: skip
        condition = to_expression(grant.row_filter, dict(schema))
        rows = raw if condition is None else raw.filter(condition)
        return rows.select(names)

    def _desensitize(self, frame: pl.LazyFrame, plan: Plan, release: Release, entry: Entry) -> Desensitized:
        key = self._keys.scenario_key(release.authorization, release.demand, "pseudonym")
        if plan.anonymity is None:
            return apply(frame, plan, key)
        return protect(frame, plan, key, found=found_in(entry, frame.collect_schema().names()))

    def _join(
        self, data: Path, release: Release, plan: Plan, table: Desensitized, earlier: Sequence[Release]
    ) -> dict[str, Any] | None:
        """Return the risk of the release together with the earlier ones of its scenario, which share its pseudonyms.

        None where there is none, or nothing was measured.
        """
        risk = table.risk
        if risk is None or not earlier:
            return None
        columns = {release.id: risk.quasi_identifiers}
        for other in earlier:
            measured = json.loads(other.certificate)["desensitization"].get("measured") or {}
            columns[other.id] = measured.get("quasi_identifiers", ())
        key = risk.entity
        joinable = key is not None and isinstance(plan.columns.get(key), Pseudonymize)
        if not joinable or any(key not in other.columns for other in earlier):
            return {"releases": list(columns), "by": None, "measured": None}
        tables = {release.id: data, **{other.id: self.path(other) / paper.DATA_FILE for other in earlier}}
        found = measure_joined_risk(tables, [str(key)], columns, limits=risk.limits)
        if self._policy.joined == "refuse" and not found.risk.meets:
            raise Invalid(
                f"together with {len(earlier)} earlier releases of its scenario the smallest class is "
                f"{found.risk.smallest_class}", rule="release.joined", accepted="a scope with fewer quasi-identifiers",
            )  # fmt: skip
        return {"releases": list(columns), "by": key, "measured": found.to_dict()}

    @contextmanager
    def _lock(self, release: Release) -> Iterator[None]:
        handle = os.open(self._work / f"{release.id}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _unreadable(entry: Entry, error: pl.exceptions.PolarsError) -> Invalid:
    # The engine's own message may quote a value.
    return Invalid(f"cannot read entry {entry.code}: {type(error).__name__}", rule="release.read")


def _head(release: Release, grant: Grant, entry: Entry, made_at: str) -> dict[str, Any]:
    """Return what every certificate says: of which release, grant, scenario and source it is."""
    return {
        "release": release.id,
        "made_at": made_at,
        "grant": {
            "id": grant.id, "scope_version": grant.scope.version, "clause": grant.scope.clause,
            "columns": sorted(grant.scope.columns), "row_filter": filter_text(grant.row_filter),
        },
        "scenario": {"authorization": release.authorization, "demand": release.demand},
        "source": {
            "entry": entry.id, "code": entry.code, "entry_version": entry.version, "grade": entry.grade,
            "raw_version": release.raw_version, "provider": entry.provider,
        },
    }  # fmt: skip


def _say_rows(entry: Entry, plan: Plan, table: Desensitized, joined: dict[str, Any] | None) -> dict[str, Any]:
    engine = table.certificate
    measured = table.risk is not None
    return {
        "kind": "shuzha release certificate",
        "version": 2,
        "found": engine.get("found") or found_in(entry, plan.columns),
        "desensitization": engine,
        "joined": joined,
        "limits": engine.get("limits"),
        "level": engine.get("level") if measured else None,
        "not_promised": [*NOT_PROMISED, *([] if measured else [NOT_MEASURED])],
    }


def _publish(made: Path, target: Path) -> None:
    """Put a finished folder in its place in one step; from then on nobody can write in it."""
    for file in made.iterdir():
        file.chmod(0o444)
        _sync(file)
    made.chmod(0o755)
    _sync(made)
    made.rename(target)
    target.chmod(0o555)
    _sync(target.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(folder: Path) -> None:
    if not folder.exists():
        return
    folder.chmod(0o700)
    shutil.rmtree(folder)

"""From an upload to a commit: read, normalise, check, write. All or nothing: a refused batch changes nothing."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from shuzha.catalog.checks import check_receiving
from shuzha.catalog.lake import RawZone
from shuzha.catalog.model import Batch, BatchMode, ColumnQuality, Element, ElementType, Entry, Receipt
from shuzha.catalog.normal import ACCEPTED_FORMS, normalise
from shuzha.catalog.reader import Upload, file_errors, open_upload
from shuzha.core.errors import Invalid

WORKING_ENDINGS = ("utf8", "stage", "latest")


def ingest_batch(zone: RawZone, entry: Entry, batch: Batch, received_at: dt.datetime) -> Receipt:
    """Return the receipt of a batch once its rows are a version of the entry's table.

    Refuses, with `Invalid` and without a value: a wrong encoding or column set, cells that are not of their element's
    type, missing cells where none may be, null or duplicate keys. The caller holds the entry's lock.
    """
    started = time.perf_counter()
    if zone.find_commit(entry.id, batch.id) is None:
        check_receiving(entry, batch.mode)  # It may have been suspended since the batch was received.
    elements = entry.elements
    stage = zone.inbox(f"{batch.id}.stage")
    upload = open_upload(
        zone.inbox(batch.id), batch.file_name, zone.inbox(f"{batch.id}.utf8"), [element.name for element in elements]
    )
    rows = _stage(upload, elements, stage)
    _check_nulls(stage, entry, batch)
    source, superseded = _unique(zone, entry, batch, stage)
    commit = zone.write(entry.id, batch.id, source, batch.mode, entry.key_columns, entry.sheet.update_marker)
    return Receipt(
        rows=rows,
        superseded=superseded,
        table_rows=commit.table_rows,
        columns=tuple(element.name for element in elements),
        sha256=batch.sha256,
        delta_version=commit.version,
        quality=measure_quality(stage, elements),
        received_at=received_at,
        seconds=round(time.perf_counter() - started, 3),
    )


def clear_inbox(zone: RawZone, batch_id: str) -> None:
    """Remove the upload of a batch and every working file made from it."""
    for name in (batch_id, *(f"{batch_id}.{ending}" for ending in WORKING_ENDINGS)):
        zone.inbox(name).unlink(missing_ok=True)


def _stage(upload: Upload, elements: Sequence[Element], stage: Path) -> int:
    """Write the normalised rows to `stage` in one pass and return their number; refuses cells of a wrong type."""
    name = upload.file_name
    with file_errors(name):
        schema = upload.frame.collect_schema()
        frame = upload.frame.select(normalise(element, schema[element.name], name) for element in elements)
        counts = upload.frame.select(pl.len().alias("\0rows"), pl.all().null_count())
        stage.touch(mode=0o600)
        sink = frame.sink_parquet(stage, compression="lz4", lazy=True)
        _, before = pl.collect_all([sink, counts], engine="streaming")
        after = pl.scan_parquet(stage, glob=False).select(pl.all().null_count()).collect()
    rows = int(before["\0rows"].item())
    if not rows:
        raise Invalid(f"{name} holds no rows", rule="batch.file", accepted="at least one row below the header")
    for element in elements:
        failed = int(after[element.name].item()) - int(before[element.name].item())
        if failed and element.type is not ElementType.TEXT:
            raise Invalid(
                f"{name}: {failed} of {rows} rows of column `{element.name}` are no {element.type}",
                rule=f"batch.types.{element.type}", accepted=ACCEPTED_FORMS[element.type],
            )  # fmt: skip
    return rows


def _check_nulls(stage: Path, entry: Entry, batch: Batch) -> None:
    file_name = batch.file_name
    keys = {*entry.key_columns, entry.entity_key}
    if batch.mode is BatchMode.MERGE:
        keys.add(entry.sheet.update_marker)  # Of two rows, the newer one cannot be told without it.
    nulls = pl.scan_parquet(stage, glob=False).select(pl.all().null_count()).collect().row(0, named=True)
    for element in entry.elements:
        missing = nulls[element.name]
        if missing and element.name in keys:
            raise Invalid(
                f"{file_name}: {missing} rows have no key `{element.name}`",
                rule="batch.keys",
                accepted="a key in every row",
            )
        if missing and not element.nullable:
            raise Invalid(
                f"{file_name}: {missing} rows have nothing in `{element.name}`", rule="batch.nulls",
                accepted="a value in every row, as the entry says",
            )  # fmt: skip


def _unique(zone: RawZone, entry: Entry, batch: Batch, stage: Path) -> tuple[Path, int]:
    """Return the file whose keys are unique, and how many older rows of a merge were dropped for it."""
    keys = list(entry.key_columns)
    if not keys:
        return stage, 0
    source, superseded = stage, 0
    marker = entry.sheet.update_marker
    repeated = _count_repeated(stage, keys)
    if repeated and batch.mode is BatchMode.MERGE and marker:
        source = zone.inbox(f"{batch.id}.latest")
        source.touch(mode=0o600)
        newest = pl.col(marker) == pl.col(marker).max().over(keys)
        pl.scan_parquet(stage, glob=False).filter(newest).sink_parquet(source, compression="lz4")
        superseded, repeated = _count_rows(stage) - _count_rows(source), _count_repeated(source, keys)
    words = ", ".join(f"`{key}`" for key in keys)
    if repeated:
        raise Invalid(
            f"{batch.file_name}: {repeated} rows repeat the key {words}", rule="batch.keys", accepted="each key once"
        )
    if batch.mode is BatchMode.APPEND and zone.find_commit(entry.id, batch.id) is None:
        zone.check_schema(entry.id, pl.scan_parquet(stage, glob=False).collect_schema(), batch.mode)
        present = zone.count_present(entry.id, stage, keys)
        if present:
            raise Invalid(
                f"{batch.file_name}: {present} rows have a key {words} that is there already", rule="batch.keys",
                accepted="new keys, or the mode merge",
            )  # fmt: skip
    return source, superseded


def _count_rows(path: Path) -> int:
    return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


def _count_repeated(path: Path, keys: list[str]) -> int:
    """Return how many rows stand after an earlier one of equal key."""
    frame = pl.scan_parquet(path, glob=False)
    # Hashes decide the usual case in half of the time; only where they meet are the keys themselves compared.
    hashes = frame.select(pl.struct(keys).hash(seed=7).n_unique()).collect(engine="streaming").item()
    if hashes == _count_rows(path):
        return 0
    groups = frame.group_by(keys).len().select((pl.col("len") - 1).sum())
    return int(groups.collect(engine="streaming").item() or 0)


def measure_quality(stage: Path, elements: Sequence[Element]) -> tuple[ColumnQuality, ...]:
    """Return the figures of each column of a staged file: null count, estimated distinct count, text lengths."""
    asked: list[pl.Expr] = []
    for place, element in enumerate(elements):
        column = pl.col(element.name)
        asked.append(column.null_count().alias(f"nulls {place}"))
        known = column.cast(pl.String) if element.type is ElementType.DECIMAL else column
        asked.append(known.drop_nulls().approx_n_unique().alias(f"distinct {place}"))
        if element.type is ElementType.TEXT:
            asked += [
                column.str.len_chars().min().alias(f"min {place}"),
                column.str.len_chars().max().alias(f"max {place}"),
            ]
    row = pl.scan_parquet(stage, glob=False).select(asked).collect(engine="streaming").row(0, named=True)
    return tuple(
        ColumnQuality(
            element.name,
            int(row[f"nulls {place}"]),
            int(row[f"distinct {place}"]),
            row.get(f"min {place}"),
            row.get(f"max {place}"),
        )
        for place, element in enumerate(elements)
    )

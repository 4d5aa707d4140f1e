"""What a free-form table gives away of the granted releases: findings with the share of rows that reproduce records.

Also the re-identification limits of a table that consists of a release's rows: its classes must be as large as the
audience's mode asks for (`desensitize.risk`, GB/T 42460 annex D).
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
import polars as pl

from desensitize import limits_of, measure_risk
from sandbox.airlock.files.kinds import Limits
from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.overlap.aligning import Deadline, OutOfTime, Pair, Sample, find_dresses, find_pairs, sample_release
from sandbox.airlock.overlap.counting import count_rows
from sandbox.airlock.overlap.forms import split_columns, typed
from sandbox.airlock.overlap.hashes import Hashed, count_hashed, find_hashed
from sandbox.airlock.overlap.shapes import shapes_of

_FEW: Final = 3
_ROWLIKE: Final = 0.3
_REPEATED: Final = 0.5
_SOME: Final = 200_000
_NEARLY_ALL: Final = 0.9
_ALIKE: Final = 0.2


class Released(Protocol):
    """A granted release as this check needs it."""

    @property
    def release(self) -> str:
        """Its id."""
        ...

    @property
    def entity(self) -> str | None:
        """The column that says whose data a row is."""
        ...

    @property
    def frame(self) -> pl.LazyFrame:
        """Its rows."""
        ...


@dataclass(frozen=True, slots=True)
class Overlap:
    """What of an export is a release's: rows that reproduce records beyond chance, their share, and how it was found.

    `rowlike` says that the export consists of the release's rows, rare or not; `columns` are its columns that hold
    values of the release, without the one that names the entity.
    """

    release: str
    rows: int
    share: float
    how: tuple[str, ...]
    rowlike: bool = False
    columns: tuple[str, ...] = ()
    entity: str | None = None


def find_overlap(export: pl.DataFrame, source: Released, least: int, seconds: float) -> Overlap:
    """Return what of the export is the release's; raises OutOfTime beyond so many seconds."""
    deadline = Deadline(time.monotonic() + seconds)
    release = source.frame
    if not export.height:
        return Overlap(source.release, 0, 0.0, ())
    wide = split_columns(typed(export))
    sample = sample_release(release, wide, deadline)
    if not sample.plain.height:
        return Overlap(source.release, 0, 0.0, ())
    # What holds is seen in some of a large export's rows; only the last count is of all.
    some = wide if sample.whole or wide.height <= _SOME else wide.sample(_SOME, seed=5)
    pairs = find_pairs(some, sample, deadline)
    return _counted(wide, source, _dresses(some, sample, pairs, deadline), pairs, least, sample.rows, deadline)


def _dresses(
    export: pl.DataFrame, sample: Sample, pairs: Sequence[Pair], deadline: Deadline
) -> Iterator[tuple[Pair, ...] | Hashed]:
    """Yield what the export may be dressed in; hashes are looked for only by whom the plain dresses do not satisfy."""
    dressed: set[str] = set()
    for dress in find_dresses(export, sample, pairs, deadline):
        dressed |= {pair.export.partition("/")[0] for pair in dress}
        yield dress
    left = [name for name in export.columns if name.partition("/")[0] not in dressed]
    yield from find_hashed(export.select(left), sample, deadline)


def _counted(
    wide: pl.DataFrame, source: Released, dresses: Iterator[tuple[Pair, ...] | Hashed], pairs: Sequence[Pair],
    least: int, rows: int, deadline: Deadline,
) -> Overlap:  # fmt: skip
    reproduced = np.zeros(wide.height, np.float64)
    met, how, paired = 0.0, list[str](), [pair for pair in pairs if pair.likeness >= _ALIKE]
    for dress in dresses:
        deadline.check()
        if isinstance(dress, Hashed):
            count = count_hashed(wide, source.frame, dress, source.entity, least)
        else:
            count = count_rows(wide, source.frame, dress, source.entity, least, rows)
            met = max(met, float(count.met.mean())) if len(dress) > 1 else met
            paired += dress
        if count.certain:
            reproduced = np.maximum(reproduced, count.reproduced * (1 - count.chance))
            how.append(_said(dress))
        if reproduced.mean() >= _NEARLY_ALL:
            break
    found = round(float(reproduced.sum()))
    entity = next((pair.export for pair in paired if pair.release == source.entity), None)
    columns = tuple(dict.fromkeys(pair.export for pair in paired if pair.release != source.entity))
    rowlike = met >= _ROWLIKE or _repeats(wide, columns)
    return Overlap(source.release, found, found / wide.height, tuple(how), rowlike, columns, entity)


def check_overlap(
    tables: Sequence[bytes], sources: Sequence[Released], limits: Limits, least: int
) -> tuple[Finding, ...]:
    """Return findings about tables (Parquet of the platform's own) that are to leave, each set against each release.

    `row_overlap` blocks where rows of a release are found again, `row_risk` where a table of a release's rows that it
    lets pass has classes smaller than its audience's mode accepts; a comparison that does not end in time blocks.
    """
    findings: list[Finding] = []
    for source in sources:
        for table in (pl.read_parquet(io.BytesIO(written)) for written in tables):
            try:
                told = _judge(table, find_overlap(table, source, least, limits.seconds), limits)
                findings += told
                if any(one.severity is Severity.BLOCK for one in told):
                    continue
                # In another shape a table is judged by the rows that are found again alone, where these are many.
                for shape in shapes_of(table):
                    found = replace(find_overlap(shape, source, least, limits.seconds), rowlike=False)
                    findings += (one for one in _judge(shape, found, limits) if one.severity is Severity.BLOCK)
            except OutOfTime:
                accepted = "a table that can be compared with the releases in time: fewer rows or columns"
                findings.append(Finding("checker_failed", Severity.BLOCK, accepted, None, limits.seconds))
    return _worst_of_each(findings)


def _judge(table: pl.DataFrame, found: Overlap, limits: Limits) -> list[Finding]:
    findings = []
    if found.rows:
        many = found.rows >= limits.overlap_rows or (found.rows >= _FEW and found.share >= limits.overlap_share)
        place = f"release {found.release}: {found.rows} rows, by {'; '.join(found.how)}"
        severity = Severity.BLOCK if many else Severity.REVIEW
        accepted = "figures about groups: no record of a release, in whatever dress"
        findings.append(Finding("row_overlap", severity, accepted, None, round(found.share, 4), place=place))
        if many:  # What consists of records may not leave in classes of any size.
            return findings
    columns = [name for name in found.columns if name in table.columns]
    if found.rowlike and columns:
        entity = found.entity if found.entity in table.columns and not table[found.entity].null_count() else None
        risk = measure_risk(table, columns, entity, limits=limits_of(limits.audience))
        if not risk.meets:
            least = risk.limits.smallest_class
            accepted = f"rows of which at least {least} share all their values (mode {limits.audience})"
            place = f"columns {', '.join(columns)}"
            findings.append(
                Finding("row_risk", Severity.BLOCK, accepted, None, risk.smallest_class, least, place=place)
            )
    return findings


def _repeats(wide: pl.DataFrame, columns: Sequence[str]) -> bool:
    """Say whether most rows say what another row says: cells of a table of figures have each its own labels."""
    return bool(columns) and float(wide.select(columns).is_duplicated().mean() or 0.0) >= _REPEATED  # type: ignore[arg-type]


def _worst_of_each(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return of each rule and release the finding with the largest figure: one file may be read as several tables."""
    best: dict[tuple[str, str], Finding] = {}
    for finding in sorted(findings, key=lambda one: (one.severity is Severity.BLOCK, one.figure or 0)):
        best[finding.rule, finding.place.partition(":")[0]] = finding
    return tuple(best.values())


def _said(dress: tuple[Pair, ...] | Hashed) -> str:
    if isinstance(dress, Hashed):
        return f"{dress.export} = {dress.function}({f' {dress.separator} '.join(dress.release)})"
    return ", ".join(
        f"{pair.export} = {pair.release}" + (f" ({pair.form.kind.value})" if pair.form.size else "") for pair in dress
    )

"""Screening: what came out of the clean room becomes judged files. No state is changed here.

For a table or verification the platform reads the data and computes the output itself; the notebook's bytes are
compared with that and dropped. Whatever goes wrong while one output is judged blocks that output.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import msgspec
import polars as pl

from sandbox.airlock import claims, content, differencing, disclosure, labels, repairs
from sandbox.airlock.findings import Finding, Severity, worst
from sandbox.airlock.inputs import Inputs, Source, find_source
from sandbox.airlock.model import KEPT_FINDINGS, ExportFile, ExportRequest
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import TableSpecification, VerificationSpecification, encode, parse
from sandbox.workspaces.clean_room.outbox import Declared, OutputKind
from shuzha.core.errors import Invalid, ShuzhaError

log = logging.getLogger(__name__)

TOLERANCE: Final = 1e-6
_FORMS: Final = {
    content.FileType.PNG: "figure", content.FileType.SVG: "figure", content.FileType.JSON: "text",
    content.FileType.NOTEBOOK: "text", content.FileType.REPORT: "text",
}  # fmt: skip

Allows = Callable[[Source, str, str, frozenset[str]], str | None]
"""Given source, operation, output kind and columns: None when the grant allows it, or the reason why not."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One output with everything that the rules say of it."""

    file: ExportFile
    findings: tuple[Finding, ...]


class Keeper(Protocol):
    """Where judged bytes go: the vault, or nowhere."""

    def put(self, content: bytes) -> str:
        """Keep these bytes and return their SHA-256."""
        ...


class _Nowhere:
    """Keeps nothing."""

    def put(self, content: bytes) -> str:
        """Return the SHA-256 of these bytes."""
        return hashlib.sha256(content).hexdigest()


class Screener:
    """Judges declared outputs against the rules in force, over the platform's own inputs."""

    def __init__(
        self, inputs: Inputs, vault: Keeper, rules: Rules, limits: content.Limits | None = None, *, counts: bool = True
    ) -> None:
        self.inputs = inputs
        self._vault = vault
        self.rules = rules
        self._limits = limits or content.Limits()
        self._counts = counts

    def advisor(self) -> Screener:
        """Return a screener for advice: it keeps nothing, and says nothing of how many a claim is true of.

        Claims are counted over raw rows. Whoever may ask without end, as a notebook may, finds each value by asking.
        """
        return Screener(self.inputs, _Nowhere(), self.rules, self._limits, counts=False)

    def judge_all(self, request: ExportRequest, declared: Sequence[Declared], allows: Allows) -> tuple[Judged, ...]:
        """Return each output that the request means, judged; one that is meant and missing blocks."""
        meant = [one for one in declared if not request.outputs or one.name in request.outputs]
        if len(meant) > self._limits.files:
            meant = meant[: self._limits.files]
        judged = [self.judge(request, one, allows) for one in meant]
        made = {one.name for one in declared}
        judged += [_missing(name) for name in request.outputs if name not in made]
        return tuple(self._compare(judged))

    def _compare(self, judged: Sequence[Judged]) -> list[Judged]:
        """Return the outputs with what their differences say of people; a comparison that fails blocks."""
        tables: dict[str, dict[str, TableSpecification]] = {}
        for one in judged:
            if one.file.form == "table" and one.file.specification:
                specification = parse(one.file.specification.encode())
                if isinstance(specification, TableSpecification):
                    tables.setdefault(one.file.release, {})[one.file.name] = specification
        found: list[Finding] = []
        for release, group in tables.items():
            try:
                source = self.inputs.release(release)
                found += differencing.check_tables(group, source.frame, entity=source.entity, rules=self.rules)
            except Exception:  # The boundary of one comparison: a check that failed has not passed.
                log.exception("comparing the tables of %s failed", release)
                accepted = "outputs that the checker can compare"
                found += [Finding("checker_failed", Severity.BLOCK, accepted, file=name) for name in group]
        return [_with(one, [finding for finding in found if finding.file == one.file.name]) for one in judged]

    def judge(self, request: ExportRequest, declared: Declared, allows: Allows) -> Judged:
        """Return one output, judged; an error of the specification blocks it, and so does a fault of ours."""
        blank = ExportFile(declared.name, _form(declared), "", declared.context, disclosure.Verdict.BLOCK)
        try:
            judged = self._judge(request, declared, blank, allows)
        except ShuzhaError as error:
            judged = Judged(
                blank, (Finding("specification", Severity.BLOCK, error.accepted or "", place=error.message),)
            )
        except Exception:  # The boundary of one output: a check that failed has not passed.
            log.exception("screening an output of %s failed", request.id)
            judged = Judged(blank, (Finding("checker_failed", Severity.BLOCK, "an output that the checker can judge"),))
        findings = [
            *judged.findings,
            *labels.check_texts([declared.name], "name"),
            *labels.check_texts([declared.context], "context"),
        ]
        return self._finish(declared, judged.file, findings)

    def _judge(self, request: ExportRequest, declared: Declared, blank: ExportFile, allows: Allows) -> Judged:
        if declared.kind is OutputKind.FILE or declared.specification is None:
            return self._free_form(declared, blank)
        specification = parse(declared.specification)
        match specification:
            case TableSpecification() if declared.kind is OutputKind.TABLE:
                sources = [self.inputs.release(release) for release in request.releases]
                source = find_source(sources, specification.release, by_entry=False)
                return self._table(specification, declared, source, blank, allows)
            case VerificationSpecification() if declared.kind is OutputKind.VERIFICATION:
                sources = [self.inputs.entry(release) for release in request.releases]
                source = find_source(sources, specification.entry, by_entry=True)
                return self._verification(specification, source, blank, allows)
        raise Invalid(
            "the specification is of another kind than its output", rule="export.kind", accepted=declared.kind.value
        )

    def _table(
        self, table: TableSpecification, declared: Declared, source: Source, blank: ExportFile, allows: Allows
    ) -> Judged:
        findings = _scope(source, "aggregate", "report", table.used_columns, allows)
        exact = msgspec.structs.replace(table, release=source.release)
        checked = repairs.compute_checked(exact, source.frame, entity=source.entity, rules=self.rules)
        result, report = checked.frame, checked.report
        findings += report.findings
        if source.entity_missing:
            accepted = "a release with the entry's entity key: persons cannot be counted without it"
            findings.append(Finding("min_count", Severity.BLOCK, accepted))
        written = content.write_csv(result)
        if declared.content is not None and not same_table(declared.content, result):
            findings.append(Finding("kernel_differs", Severity.REVIEW, "the table that the specification describes"))
        evidence = msgspec.json.encode(report.as_dict())
        file = _describe(blank, source, table.used_columns, encode(exact))
        kept = replace(
            file,
            type="csv",
            rows=result.height,
            sha256=self._vault.put(written),
            size=len(written),
            evidence=self._vault.put(evidence),
        )
        return Judged(kept, tuple(findings))

    def _verification(
        self, verification: VerificationSpecification, source: Source, blank: ExportFile, allows: Allows
    ) -> Judged:
        findings = _scope(source, "verify", "verification", verification.used_columns, allows)
        asked = {one.column for claim in verification.claims for one in claim.where} & source.naming
        if asked:
            accepted = "claims about columns that neither name anybody nor hold free text"
            findings.append(Finding("scope", Severity.BLOCK, accepted, place=f"column {min(asked)}"))
        claims.check_form(verification, source.frame.collect_schema())
        if not self._counts:
            findings.append(Finding("claims_counted_later", Severity.NOTE, "a submission: then claims are counted"))
        elif not asked:
            findings += claims.check_claims(verification, source.frame, entity=source.entity, rules=self.rules)
        if source.entity_missing:
            findings.append(Finding("min_count", Severity.BLOCK, "a grant with the entry's entity key"))
        texts = [*verification.subject, *(text for claim in verification.claims for text in (claim.name, claim.title))]
        findings += labels.check_texts(texts, "title")
        written = encode(msgspec.structs.replace(verification, entry=source.entry))
        file = _describe(blank, source, verification.used_columns, written)
        kept = replace(
            file, type="json", rows=len(verification.claims), sha256=self._vault.put(written), size=len(written)
        )
        return Judged(kept, tuple(findings))

    def _free_form(self, declared: Declared, blank: ExportFile) -> Judged:
        found = content.inspect_apart(declared.content or b"", self._limits)
        note = Finding("free_form", Severity.REVIEW, "a table or verification that the platform can compute itself")
        kind = found.type
        file = replace(
            blank, type=kind.value if kind else "", rows=found.rows, form=_FORMS.get(kind, "table") if kind else "text"
        )
        if found.content is not None:
            file = replace(file, sha256=self._vault.put(found.content), size=len(found.content))
        return Judged(file, (*found.findings, note))

    def _finish(self, declared: Declared, file: ExportFile, findings: list[Finding]) -> Judged:
        kernel = self._vault.put(declared.content) if declared.content is not None else ""
        named = tuple(finding.with_file(declared.name) for finding in findings)
        return Judged(replace(file, verdict=worst(named), kernel_sha256=kernel), kept_findings(named))


def kept_findings(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings that are kept in the record, the worst first; the evidence in the vault has all."""
    order = {Severity.BLOCK: 0, Severity.REVIEW: 1, Severity.NOTE: 2}
    return tuple(sorted(findings, key=lambda finding: order[finding.severity])[:KEPT_FINDINGS])


def same_table(data: bytes, result: pl.DataFrame) -> bool:
    """Return whether a CSV says what the platform computed: headings, labels and, within rounding, figures.

    The order of rows does not matter; anything that cannot be read does not agree.
    """
    try:
        theirs = pl.read_csv(io.BytesIO(data), infer_schema=False)
        figure, names = result.columns[-1], result.columns[:-1]
        if set(theirs.columns) != set(result.columns) or theirs.height != result.height:
            return False
        if names and theirs.select(names).n_unique() != theirs.height:
            return False
        ours = pl.read_csv(io.BytesIO(result.write_csv().encode()), infer_schema=False)
        pairs = ours.join(theirs, on=names, how="inner", nulls_equal=True) if names else ours.join(theirs, how="cross")
        if pairs.height != result.height:
            return False
        mine, other = (pl.col(name).cast(pl.Float64, strict=False) for name in (figure, f"{figure}_right"))
        close = (mine - other).abs() <= TOLERANCE * pl.max_horizontal(mine.abs(), pl.lit(1.0))
        return bool(pairs.select((close.fill_null(value=False) | mine.is_null()).all()).item())
    except pl.exceptions.PolarsError:
        return False


def _scope(source: Source, operation: str, kind: str, columns: frozenset[str], allows: Allows) -> list[Finding]:
    reason = allows(source, operation, kind, columns)
    return [] if reason is None else [Finding("scope", Severity.BLOCK, "what the grant allows", place=reason)]


def _describe(blank: ExportFile, source: Source, columns: frozenset[str], specification: bytes) -> ExportFile:
    return replace(
        blank, specification=specification.decode(), release=source.release, grant=source.grant, demand=source.demand,
        entry=source.entry, columns=tuple(sorted(columns)),
    )  # fmt: skip


def _form(declared: Declared) -> str:
    return "text" if declared.kind is OutputKind.FILE else declared.kind.value


def _with(judged: Judged, more: Sequence[Finding]) -> Judged:
    if not more:
        return judged
    findings = kept_findings([*judged.findings, *more])
    return Judged(replace(judged.file, verdict=worst(findings)), findings)


def _missing(name: str) -> Judged:
    finding = Finding(
        "rerun_differs", Severity.BLOCK, "an output that the notebook declares when it is run again", file=name
    )
    return Judged(ExportFile(name, "text", "", "", disclosure.Verdict.BLOCK), (finding,))

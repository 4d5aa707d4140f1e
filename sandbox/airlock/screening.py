"""Screening: what came out of the clean room becomes judged files. No state is changed here.

For a table or verification the platform reads the data and computes the output itself; the notebook's bytes are
compared with that and dropped. Whatever goes wrong while one output is judged blocks that output.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

import msgspec

from sandbox.airlock import claims, content, differencing, disclosure, labels
from sandbox.airlock.computed import Computable, Computed, bound, compute
from sandbox.airlock.faults import log_fault
from sandbox.airlock.findings import Finding, Severity, Verdict, worst
from sandbox.airlock.inputs import Inputs, Source, find_source
from sandbox.airlock.kernel_bytes import same_table
from sandbox.airlock.memory.service import Compared, Leaving, Memory, Output
from sandbox.airlock.model import KEPT_FINDINGS, ExportFile, ExportRequest
from sandbox.airlock.models.gate import ModelGate
from sandbox.airlock.models.specification import parse as parse_model
from sandbox.airlock.overlap.checking import check_overlap
from sandbox.airlock.questions import judge
from sandbox.airlock.repairs import Suggestion
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import (
    FigureSpecification,
    RegressionSpecification,
    ServiceSpecification,
    TableSpecification,
    VerificationSpecification,
    encode,
    parse,
)
from sandbox.airlock.vault import Vault
from sandbox.workspaces.clean_room.outbox import Declared, OutputKind
from shuzha.core.errors import Invalid, ShuzhaError

log = logging.getLogger(__name__)

_FORMS: Final = {
    content.FileType.PNG: "figure", content.FileType.SVG: "figure", content.FileType.JSON: "text",
    content.FileType.NOTEBOOK: "text", content.FileType.REPORT: "text",
}  # fmt: skip

_KINDS: Final = {
    TableSpecification: OutputKind.TABLE,
    RegressionSpecification: OutputKind.REGRESSION,
    FigureSpecification: OutputKind.FIGURE,
}

Allows = Callable[[Source, str, str, frozenset[str]], str | None]
"""Given source, operation, output kind and columns: None when the grant allows it, or the reason why not."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One output with everything that the rules say of it, and what would mend it.

    `output` is what is compared with earlier ones, if it is.
    """

    file: ExportFile
    findings: tuple[Finding, ...]
    output: Output | None = None
    repairs: tuple[Suggestion, ...] = ()


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
        self, inputs: Inputs, vault: Keeper, rules: Rules, limits: content.Limits | None = None, *,
        counts: bool = True, memory: Memory | None = None, models: ModelGate | None = None,
    ) -> None:  # fmt: skip
        self.inputs = inputs
        self._vault = vault
        self.rules = rules
        self._limits = limits or content.Limits()
        self._counts = counts
        self._memory = memory
        self._models = models or ModelGate(rules.models)

    def with_rules(self, rules: Rules) -> Screener:
        """Return this screener, judging by other parameters."""
        return Screener(
            self.inputs, self._vault, rules, self._limits, counts=self._counts, memory=self._memory,
            models=self._models.with_rules(rules.models),
        )  # fmt: skip

    def advisor(self) -> Screener:
        """Return a screener for advice: it keeps nothing, and says nothing of how many a claim is true of.

        Claims are counted over raw rows. Whoever may ask without end, as a notebook may, finds each value by asking.
        Of earlier outputs it tells those of the asker's own unit, for the same reason (`advise`).
        """
        return Screener(
            self.inputs, _Nowhere(), self.rules, self._limits, counts=False, memory=self._memory, models=self._models
        )  # fmt: skip

    def advise(self, request: ExportRequest, declared: Declared, allows: Allows) -> Judged:
        """Return one output, judged, and compared with what the request's own unit released before."""
        judged = self.judge(request, declared, allows)
        (judged,) = self._compare([judged], request, own=True)
        note = Finding("differencing_later", Severity.NOTE, "a submission: then outputs of other units count too")
        return _with(judged, [note.with_file(declared.name)] if judged.output is not None else [])

    def judge_all(self, request: ExportRequest, declared: Sequence[Declared], allows: Allows) -> tuple[Judged, ...]:
        """Return each output that the request means, judged; one meant and missing blocks, and one too many."""
        meant = [one for one in declared if not request.outputs or one.name in request.outputs]
        most = self._limits.files
        judged = [self.judge(request, one, allows) for one in meant[:most]]
        judged += [_one_too_many(one.name, len(meant), most) for one in meant[most:]]
        made = {one.name for one in declared}
        judged += [_missing(name) for name in request.outputs if name not in made]
        return tuple(self._compare(judged, request))

    def _compare(self, judged: Sequence[Judged], request: ExportRequest, *, own: bool = False) -> list[Judged]:
        """Return the outputs with how near they come to earlier ones; a comparison that fails blocks."""
        outputs = [one.output for one in judged if one.output is not None and one.file.verdict is not Verdict.BLOCK]
        if own:
            outputs = [one for one in outputs if not isinstance(one.specification, VerificationSpecification)]
        if not outputs:
            return list(judged)
        unit = request.organisation
        try:
            if self._memory is None:
                raise Invalid("this screener has no memory of earlier outputs", rule=differencing.RULE)
            least = self.rules.min_difference
            compared = self._memory.compare(outputs, least, export=request.id, unit=unit if own else None)
        except Exception as error:  # The boundary of the comparison: a check that failed has not passed.
            log_fault(log, error, "comparing the outputs of %s failed", request.id)
            failed = differencing.not_compared([one.name for one in outputs])
            return [_with(one, failed.get(one.file.name, ())) for one in judged]
        found = {one.name: one for one in compared}
        return [self._note(one, found[one.file.name], unit) if one.file.name in found else one for one in judged]

    def _note(self, judged: Judged, compared: Compared, unit: str) -> Judged:
        """Return an output with the findings of its comparison; reviewers find the whole of it in its evidence."""
        told = _with(judged, differencing.findings_of(compared, self.rules, unit))
        return replace(told, file=self._with_evidence(told.file, compared))

    def _with_evidence(self, file: ExportFile, compared: Compared) -> ExportFile:
        found = differencing.evidence_of(compared)
        if not found or not isinstance(self._vault, Vault):
            return file
        said = msgspec.json.decode(self._vault.get(file.evidence)) if file.evidence else {}
        return replace(file, evidence=self._vault.put(msgspec.json.encode({**said, "differencing": found})))

    @contextmanager
    def leaving(self, request: ExportRequest) -> Iterator[tuple[Leaving, tuple[Finding, ...]]]:
        """Compare a request's outputs once more, holding the memory; yield what to keep of them and what was found.

        What was found are findings that its reviewers have not seen; where there are any it does not leave. Refuses an
        output that the platform does not compute again as it was judged.
        """
        outputs = [self._again(file) for file in request.leaving if file.specification and file.form != "service"]
        if not outputs:
            yield Leaving(()), ()
            return
        if self._memory is None:
            raise Invalid("this screener has no memory of earlier outputs", rule=differencing.RULE)
        least, unit = self.rules.min_difference, request.organisation
        with self._memory.leaving(outputs, least, export=request.id, organisation=unit) as leaving:
            told = [one for each in leaving.compared for one in differencing.findings_of(each, self.rules, unit)]
            seen = any(one.rule == differencing.RULE for one in request.findings)
            yield leaving, tuple(one for one in told if one.severity is Severity.BLOCK or not seen)

    def _again(self, file: ExportFile) -> Output:
        """Return a judged output, computed again from its specification."""
        specification = parse(file.specification.encode())
        if isinstance(specification, VerificationSpecification):
            return _claims(file.name, specification, self.inputs.entry(file.release))
        if isinstance(specification, ServiceSpecification):
            raise Invalid(f"file {file.name} has no answer yet", rule="export.recompute")
        source = self.inputs.release(file.release)
        made = compute(specification, source.frame, entity=source.entity, rules=self.rules)
        if hashlib.sha256(made.content or b"").hexdigest() != file.sha256:
            raise Invalid(f"file {file.name} is not what its specification gives", rule="export.recompute")
        return _output(file.name, specification, source, made)

    def judge(self, request: ExportRequest, declared: Declared, allows: Allows) -> Judged:
        """Return one output, judged; an error of the specification blocks it, and so does a fault of ours."""
        blank = ExportFile(declared.name, _form(declared), "", declared.context, disclosure.Verdict.BLOCK)
        try:
            judged = self._judge(request, declared, blank, allows)
        except ShuzhaError as error:
            judged = Judged(
                blank, (Finding("specification", Severity.BLOCK, error.accepted or "", place=error.message),)
            )
        except Exception as error:  # The boundary of one output: a check that failed has not passed.
            log_fault(log, error, "screening an output of %s failed", request.id)
            judged = Judged(blank, (Finding("checker_failed", Severity.BLOCK, "an output that the checker can judge"),))
        findings = [
            *judged.findings,
            *labels.check_texts([declared.name], "name"),
            *labels.check_texts([declared.context], "context"),
        ]
        finished = self._finish(declared, judged.file, findings)
        return replace(finished, output=judged.output, repairs=judged.repairs)

    def _judge(self, request: ExportRequest, declared: Declared, blank: ExportFile, allows: Allows) -> Judged:
        if declared.kind is OutputKind.FILE or declared.specification is None:
            return self._free_form(request, declared, blank)
        if declared.kind is OutputKind.MODEL:
            return self._model(request, declared, blank, allows)
        specification = parse(declared.specification)
        match specification:
            case TableSpecification() | RegressionSpecification() | FigureSpecification() if (
                declared.kind is _KINDS[type(specification)]
            ):
                sources = [self.inputs.release(release) for release in request.releases]
                source = find_source(sources, specification.release, by_entry=False)
                return self._computed(specification, declared, source, blank, allows)
            case VerificationSpecification() if declared.kind is OutputKind.VERIFICATION:
                sources = [self.inputs.entry(release) for release in request.releases]
                source = find_source(sources, specification.entry, by_entry=True)
                return self._verification(specification, source, blank, allows)
            case ServiceSpecification() if declared.kind is OutputKind.SERVICE:
                sources = [self.inputs.entry(release) for release in request.releases]
                source = find_source(sources, specification.entry, by_entry=True)
                return self._service(specification, source, blank, allows)
        raise Invalid(
            "the specification is of another kind than its output", rule="export.kind", accepted=declared.kind.value
        )

    def _computed(
        self, specification: Computable, declared: Declared, source: Source, blank: ExportFile, allows: Allows
    ) -> Judged:
        used = specification.used_columns
        findings = _scope(source, "aggregate", "report", used, allows)
        exact = bound(specification, source.release)
        made = compute(exact, source.frame, entity=source.entity, rules=self.rules)
        findings += made.findings
        if source.entity_missing:
            accepted = "a release with the entry's entity key: persons cannot be counted without it"
            findings.append(Finding("min_count", Severity.BLOCK, accepted))
        if declared.content is not None and not same_table(declared.content, made.frame):
            findings.append(Finding("kernel_differs", Severity.REVIEW, "the table that the specification describes"))
        file = replace(
            _describe(blank, source, used, encode(exact)), form=made.form, type=made.type, rows=made.frame.height,
            evidence=self._vault.put(msgspec.json.encode(made.evidence)),
        )  # fmt: skip
        if made.content is not None:
            file = replace(file, sha256=self._vault.put(made.content), size=len(made.content))
        return Judged(file, tuple(findings), _output(declared.name, exact, source, made), made.repairs)

    def _model(self, request: ExportRequest, declared: Declared, blank: ExportFile, allows: Allows) -> Judged:
        """Return a model as its gate judged it; it stays free-form, so people judge it too."""
        if declared.content is None:
            raise Invalid("a model is judged with its file", rule="export.kind", accepted="a submission")
        specification = parse_model(declared.specification or b"")
        sources = [self.inputs.release(release) for release in request.releases]
        source = find_source(sources, specification.release, by_entry=False)
        findings = _scope(source, "train", "model", specification.used_columns, allows)
        if source.entity_missing:
            accepted = "a release with the entry's entity key: persons cannot be counted without it"
            findings.append(Finding("min_count", Severity.BLOCK, accepted))
        others = [one for one in sources if one.release != source.release]
        told = self._models.judge(declared.content, specification, source, others)
        note = Finding("free_form", Severity.REVIEW, "people judge each model beside what was measured of it")
        file = replace(
            _describe(blank, source, specification.used_columns, b""), type=told.format,
            evidence=self._vault.put(told.evidence),
        )  # fmt: skip
        if told.content is not None:
            file = replace(file, sha256=self._vault.put(told.content), size=len(told.content))
        return Judged(file, (*findings, *told.findings, note))

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
        return Judged(kept, tuple(findings), _claims(blank.name, verification, source))

    def _service(
        self, service: ServiceSpecification, source: Source, blank: ExportFile, allows: Allows
    ) -> Judged:  # fmt: skip
        """Return a data service as its questions were judged; its answers are checked each when they are given."""
        findings = [*_scope(source, "aggregate", "service", service.used_columns, allows), *judge(service, source)]
        written = encode(msgspec.structs.replace(service, entry=source.entry))
        file = replace(_describe(blank, source, service.used_columns, written), type="json", rows=service.questions)
        return Judged(replace(file, sha256=self._vault.put(written), size=len(written)), tuple(findings))

    def _free_form(self, request: ExportRequest, declared: Declared, blank: ExportFile) -> Judged:
        found = content.inspect_apart(declared.content or b"", self._limits)
        note = Finding("free_form", Severity.REVIEW, "a table or verification that the platform can compute itself")
        sources = [self.inputs.release(release) for release in request.releases] if found.tables else []
        rows = check_overlap(found.tables, sources, self._limits, self.rules.min_entities)
        kind = found.type
        file = replace(
            blank, type=kind.value if kind else "", rows=found.rows, form=_FORMS.get(kind, "table") if kind else "text"
        )
        if found.content is not None:
            file = replace(file, sha256=self._vault.put(found.content), size=len(found.content))
        if file.form == "figure":
            accepted = "a figure that the platform draws from a table: `workbench.plot`"
            return Judged(file, (*found.findings, note, Finding("plot", Severity.BLOCK, accepted)))
        return Judged(file, (*found.findings, *rows, note))

    def _finish(self, declared: Declared, file: ExportFile, findings: list[Finding]) -> Judged:
        kernel = self._vault.put(declared.content) if declared.content is not None else ""
        named = tuple(finding.with_file(declared.name) for finding in findings)
        return Judged(replace(file, verdict=worst(named), kernel_sha256=kernel), kept_findings(named))


def kept_findings(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings that are kept in the record, the worst first; the evidence in the vault has all."""
    order = {Severity.BLOCK: 0, Severity.REVIEW: 1, Severity.NOTE: 2}
    return tuple(sorted(findings, key=lambda finding: order[finding.severity])[:KEPT_FINDINGS])


def _scope(source: Source, operation: str, kind: str, columns: frozenset[str], allows: Allows) -> list[Finding]:
    reason = allows(source, operation, kind, columns)
    return [] if reason is None else [Finding("scope", Severity.BLOCK, "what the grant allows", place=reason)]


def _describe(blank: ExportFile, source: Source, columns: frozenset[str], specification: bytes) -> ExportFile:
    return replace(
        blank, specification=specification.decode(), release=source.release, grant=source.grant, demand=source.demand,
        entry=source.entry, columns=tuple(sorted(columns)),
    )  # fmt: skip


def _output(name: str, exact: Computable, source: Source, made: Computed) -> Output:
    """Return a computed output as the memory of earlier ones takes it."""
    content = hashlib.sha256(made.content).hexdigest() if made.content is not None else ""
    if made.table is None or made.rows is None:
        return Output(name, exact, source, content=content)
    return Output(name, made.table, replace(source, frame=made.rows), made.shown, content)


def _claims(name: str, exact: VerificationSpecification, source: Source) -> Output:
    return Output(name, exact, source, content=hashlib.sha256(encode(exact)).hexdigest())


def _form(declared: Declared) -> str:
    if declared.kind is OutputKind.REGRESSION:
        return "table"
    return "text" if declared.kind is OutputKind.FILE else declared.kind.value


def _with(judged: Judged, more: Sequence[Finding]) -> Judged:
    if not more:
        return judged
    findings = kept_findings([*judged.findings, *more])
    return replace(judged, file=replace(judged.file, verdict=worst(findings)), findings=findings)


def _one_too_many(name: str, count: int, most: int) -> Judged:
    return _not_judged(Finding("file_size", Severity.BLOCK, f"at most {most} outputs", None, count, most, file=name))


def _missing(name: str) -> Judged:
    accepted = "an output that the notebook declares when it is run again"
    return _not_judged(Finding("rerun_differs", Severity.BLOCK, accepted, file=name))


def _not_judged(finding: Finding) -> Judged:
    return Judged(ExportFile(finding.file, "text", "", "", disclosure.Verdict.BLOCK), (finding,))

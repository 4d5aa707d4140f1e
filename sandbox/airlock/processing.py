"""The platform's verbs, run as jobs: run the notebook again, screen what came out, seal and release what was approved.

Each takes an id, looks at the state first and bears a repeat. A request that was held or withdrawn meanwhile stays
so: what the job found is dropped.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from policies import Context
from sandbox.airlock.base import Desk
from sandbox.airlock.findings import Finding, Severity, Verdict, worst
from sandbox.airlock.inputs import Source
from sandbox.airlock.memory.service import Leaving
from sandbox.airlock.model import ExportRequest, ExportState, RunNote
from sandbox.airlock.record import SIGNING_KEY, said_of, sign_record, write_record
from sandbox.airlock.rerun import compare_cells, compare_outputs, note_cells
from sandbox.airlock.screening import Judged, kept_findings
from sandbox.airlock.store import EXPORTS
from sandbox.workspaces.clean_room.run import Run, RunState
from shuzha.authorization.store import AUTHORIZATIONS
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from shuzha.core.work import Event

PROCESS: Final = "airlock.process"
FINISH: Final = "airlock.finish"


def job_for(event: Event) -> tuple[str, str] | None:
    """Return the job (name, request id) that an event of an export request asks for, or None."""
    state = str(event.data.get("state", ""))
    if event.tag in ("export:submit", "export:resume") and state == ExportState.SUBMITTED:
        return PROCESS, event.subject
    if event.tag in ("export:approve", "export:resume") and state in (ExportState.APPROVED, ExportState.SEALED):
        return FINISH, event.subject
    return None


class Processing(Desk):
    """Run again, screen, seal, release."""

    def process(self, export_id: str) -> ExportRequest:
        """Run a submitted request's notebook again and screen its outputs; return it screened, or returned.

        Returned is what failed in the clean room and what a rule blocks. Nothing is done in any other state.
        """
        actor = platform_actor("airlock")
        with self._database.work(actor) as work:
            request = work.get(EXPORTS, export_id)
            if request.state not in (ExportState.SUBMITTED, ExportState.RERUNNING):
                return request
            request = self._move(work, actor, request, "rerun", "notebook is run again in a clean room")
        try:
            run = self._parts.room.run(self._vault.get(request.notebook), (*request.releases, *request.own_files))
        except (Invalid, NotAllowed, NotFound) as error:
            return self._return(actor, request, f"the notebook could not be run: {error.message}", {})
        changed = compare_cells(self._vault.get(request.notebook), run.notebook)
        note = _note(run, self._vault.put(run.notebook), changed)
        if run.state is not RunState.DONE:
            cell = f" at cell {run.failed.cell} ({run.failed.error})" if run.failed else ""
            return self._return(actor, request, f"the notebook {_ENDED[run.state]}{cell}", {"run": note})
        screener = self._screener()
        judged = screener.judge_all(request, run.outputs.declared, self._allows(actor, request))
        return self._screened(actor, request, note, run, judged, screener.rules.version)

    def finish(self, export_id: str) -> ExportRequest:
        """Seal an approved request with its signed record, then release it; return it as it stands then.

        Its outputs are compared with all that was released meanwhile: one that has come too near is returned. Refuses
        when a grant behind it no longer allows the export, or when the vault's bytes are not those that were judged.
        """
        actor = platform_actor("airlock")
        with self._database.read() as work:
            request = work.get(EXPORTS, export_id)
        if request.state not in (ExportState.APPROVED, ExportState.SEALED):
            return request
        with self._screener(request.rules_version).leaving(request) as (leaving, found):
            if found:
                return self._turn_back(actor, request, found)
            return self._release(actor, request, leaving)

    def _release(self, actor: Actor, compared: ExportRequest, leaving: Leaving) -> ExportRequest:
        with self._database.work(actor) as work:
            request = work.get(EXPORTS, compared.id)
            if (request.round, request.leaving) != (compared.round, compared.leaving):
                # Returned, submitted and approved anew meanwhile: what was compared is not what would leave.
                return request
            if request.state is ExportState.APPROVED:
                request = self._seal(work, actor, request)
            if request.state is not ExportState.SEALED:
                return request
            self._check_still_allowed(actor, request)
            leaving.add_to(work)
            shown = {file.name: file.sha256 for file in request.leaving}
            return self._move(
                work, actor, request, "release", "export released", released_at=work.now(),
                data={"record": request.record, "outputs": shown, "signature": request.signature}, due=None,
            )  # fmt: skip

    def _turn_back(self, actor: Actor, request: ExportRequest, found: tuple[Finding, ...]) -> ExportRequest:
        """Return a request to its author whose outputs came too near to others since they were judged."""
        rules = tuple(sorted({finding.rule for finding in found}))
        with self._database.work(actor) as work:
            standing = work.get(EXPORTS, request.id)
            if standing.state is not request.state:
                return standing
            return self._move(
                work, actor, standing, "return", "export request returned to its author",
                reason=f"blocked by {', '.join(rules)}", rules=rules, due=None,
                findings=kept_findings([*found, *standing.findings]), verdict=Verdict.BLOCK.value,
            )  # fmt: skip

    def _screened(
        self, actor: Actor, request: ExportRequest, note: RunNote, run: Run, judged: tuple[Judged, ...], version: str
    ) -> ExportRequest:
        files = tuple(one.file for one in judged)
        found = [finding for one in judged for finding in one.findings]
        found += [
            Finding("file_size", Severity.BLOCK, "a declaration within the limits", place=text)
            for text in run.outputs.problems
        ]
        if request.own_files:
            accepted = "outputs that say nothing of who is in a list that the unit brought"
            found.append(Finding("own_files", Severity.REVIEW, accepted, None, len(request.own_files)))
        found += [*compare_outputs(dict(request.session), run.outputs.declared), *note_cells(note.changed_cells)]
        if not files:
            found.append(Finding("rerun_differs", Severity.BLOCK, "a notebook that declares an output"))
        findings, verdict = kept_findings(found), worst(found)
        changes = {
            "run": note, "files": files, "findings": findings, "verdict": verdict.value,
            "rules_version": version,
        }  # fmt: skip
        if verdict is Verdict.BLOCK:
            rules = sorted({finding.rule for finding in findings if finding.severity is Severity.BLOCK})
            return self._return(actor, request, f"blocked by {', '.join(rules)}", changes, tuple(rules))
        return self._conclude(actor, request, "screen", "outputs screened", "", changes)

    def _return(
        self, actor: Actor, request: ExportRequest, reason: str, changes: dict[str, Any], rules: tuple[str, ...] = ()
    ) -> ExportRequest:
        changes = {"verdict": Verdict.BLOCK.value} | changes | {"due": None}
        said = "export request returned to its author"
        return self._conclude(actor, request, "return", said, reason, changes, rules)

    def _conclude(
        self, actor: Actor, request: ExportRequest, verb: str, content: str, reason: str, changes: dict[str, Any],
        rules: tuple[str, ...] = (),
    ) -> ExportRequest:  # fmt: skip
        with self._database.work(actor) as work:
            standing = work.get(EXPORTS, request.id)
            if standing.state is not ExportState.RERUNNING or standing.round != request.round:
                return standing
            data = {"verdict": changes["verdict"], "rules": changes.get("rules_version", "")}
            return self._move(work, actor, standing, verb, content, reason=reason, rules=rules, data=data, **changes)

    def _allows(self, actor: Actor, request: ExportRequest) -> Any:
        def allows(source: Source, operation: str, kind: str, columns: frozenset[str]) -> str | None:
            asked = Context(
                at=self._database.clock.now(), entry=source.entry, columns=columns, operation=operation,
                output_kind=kind, purpose=request.purpose, place="workspace",
            )  # fmt: skip
            return self._check_export(actor, request, source, asked)

        return allows

    def _seal(self, work: Any, actor: Actor, request: ExportRequest) -> ExportRequest:
        for file in request.leaving:
            if hashlib.sha256(self._vault.get(file.sha256)).hexdigest() != file.sha256:
                raise Invalid(f"file {file.name} of {request.id} was changed", rule="vault.address")
        agreement = work.get(AUTHORIZATIONS, request.authorization).document
        inputs = [self._input(release) for release in request.releases]
        rules, now = self.rules.of_version(request.rules_version), work.now()
        record = write_record(request, rules, agreement=agreement, inputs=inputs, sealed_at=now.isoformat())
        signature = sign_record(record, self._parts.keys.signing_key(SIGNING_KEY))
        address = self._vault.put(record)
        data = {"record": address}
        return self._move(
            work, actor, request, "seal", said_of(address), data=data, record=address, signature=signature
        )

    def _input(self, release_id: str) -> dict[str, Any]:
        source = self._parts.screener.inputs.release(release_id)
        return {
            "release": source.release, "entry": source.entry, "raw_version": source.version, "grant": source.grant,
            "columns": source.columns,
        }  # fmt: skip

    def _check_still_allowed(self, actor: Actor, request: ExportRequest) -> None:
        """Refuse to release when a grant behind an output is no longer in force (suspended, ended, changed)."""
        allows = self._allows(actor, request)
        for file in request.leaving:
            releases = [file.release] if file.release else request.releases
            for release in releases:
                source = self._parts.screener.inputs.release(release)
                operation, kind = _ASKED.get(file.form, ("aggregate", "report"))
                reason = allows(source, operation, kind, frozenset(file.columns))
                if reason is not None:
                    raise NotAllowed(f"cannot release {request.id}: {reason}", rule="export.grant")


_ASKED: Final = {
    "verification": ("verify", "verification"), "model": ("train", "model"), "service": ("aggregate", "service"),
}  # fmt: skip
"""What a grant must still allow for each form of output."""

_ENDED: Final = {
    RunState.FAILED: "failed",
    RunState.TIMED_OUT: "took too long",
    RunState.ENDED: "was ended by the clean room",
}


def _note(run: Run, notebook: str, changed: tuple[int, ...]) -> RunNote:
    return RunNote(run.id, run.state.value, run.seconds, run.environment_hash, notebook, run.log, changed)

"""The airlock's service: every verb on export requests, and what each person may see of them."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass

from policies import Context
from sandbox.airlock.base import export_resource
from sandbox.airlock.bundle import write_bundle
from sandbox.airlock.model import EXPORT, IN_REVIEW, ExportFile, ExportRequest, ExportState, as_seen_by
from sandbox.airlock.processing import Processing
from sandbox.airlock.record import SIGNING_KEY, verify_record
from sandbox.airlock.reviewing import Reviewing
from sandbox.airlock.statistics import Fared, count_causes
from sandbox.airlock.store import EXPORTS
from sandbox.airlock.submitting import Submitting
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from shuzha.ledger.reader import Proof


@dataclass(frozen=True, slots=True)
class ReleasedOutput:
    """One released file with what stands behind it, for the room that makes products of it."""

    export: str
    file: str
    form: str
    content: bytes
    sha256: str
    record_sha256: str
    organisation: str
    workspace: str
    releases: tuple[str, ...]
    grant: str
    demand: str
    authorization: str
    entry: str
    specification: str = ""


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A release record with the platform's signature and the raw public key that it is checked with.

    `proof` shows that the audit log has it: None until the log's next checkpoint, about a second after sealing.
    """

    content: bytes
    signature: str
    public_key: bytes
    proof: Proof | None = None

    def holds(self) -> bool:
        """Return whether the signature is over exactly this content."""
        return verify_record(self.content, self.signature, self.public_key)

    def bundle(self) -> bytes:
        """Return all of it as one file, which its receiver checks offline (`bundle.verify_bundle`)."""
        return write_bundle(self.content, self.signature, self.proof)


class AirlockService(Submitting, Processing, Reviewing):
    """Export requests of one installation; `process` and `finish` are jobs."""

    def get_export(self, actor: Actor, export_id: str) -> ExportRequest:
        """Return one request as this person may see it; raises NotFound for one that he may not see at all."""
        with self._database.read() as work:
            return as_seen_by(self._get_seen(work, actor, export_id), actor.id, actor.organisation)

    def list_exports(self, actor: Actor, *, workspace: str | None = None) -> tuple[ExportRequest, ...]:
        """Return the requests that the actor may see, newest first."""
        equal = {} if workspace is None else {"workspace": workspace}
        with self._database.read() as work:
            found, now = work.list(EXPORTS, newest_first=True, **equal), work.now()
        can = self._parts.policies.can
        seen = [one for one in found if can(actor, "export:view", export_resource(one), Context(at=now))]
        return tuple(as_seen_by(one, actor.id, actor.organisation) for one in seen)

    def list_to_review(self, actor: Actor) -> tuple[ExportRequest, ...]:
        """Return the requests on which this reviewer is to vote or decide, the oldest due first."""
        mine = [
            one
            for one in self.list_exports(actor)
            if one.state in IN_REVIEW and not any(vote.reviewer == actor.id for vote in one.round_votes)
        ]
        return tuple(sorted(mine, key=lambda one: (one.due is None, one.due, one.id)))

    def list_related(self, actor: Actor, export_id: str) -> tuple[ExportRequest, ...]:
        """Return what was released before from the entries that a request reads, newest first, also of other units.

        It stands beside the request on a reviewer's page; whoever is of an operating unit gets his own unit's only.
        """
        request = self.get_export(actor, export_id)
        entries = {file.entry for file in request.files if file.entry}
        return tuple(
            one
            for one in self.list_exports(actor)
            if one.id != request.id and one.released_at is not None and entries & {file.entry for file in one.leaving}
        )

    def read_evidence(self, actor: Actor, export_id: str, file: str) -> bytes:
        """Return the whole report of the rules on one output as JSON, of which the request keeps the worst findings.

        It has figures of what has not left: the author's unit cannot read it.
        """
        with self._database.read() as work:
            request = self._get_seen(work, actor, export_id)
        if actor.organisation == request.organisation:
            raise NotAllowed(f"the evidence on {export_id} is for its reviewers", rule="export.evidence")
        found = request.find_file(file)
        if found is None or not found.evidence:
            raise NotFound(f"export {export_id} has no evidence on `{file}`")
        return self._vault.get(found.evidence)

    def count_causes(self, actor: Actor, since: dt.datetime | None = None) -> Fared:
        """Return how the requests that the actor may see fared, and what they came back for."""
        return count_causes(self.list_exports(actor), since)

    def can(self, actor: Actor, verb: str, request: ExportRequest) -> bool:
        """Return whether a page offers this verb to the actor: the state allows it and so does the policy."""
        now = self._database.clock.now()
        allowed = self._parts.policies.can(actor, EXPORT.permission(verb), export_resource(request), Context(at=now))
        return allowed and EXPORT.can(request.state, verb)

    def read_file(self, actor: Actor, export_id: str, file: str) -> bytes:
        """Return the bytes of an output as they would leave, for reviewers before and for its unit after the release.

        The author's own unit cannot read them here before they are released, and never what reviewers withheld.
        """
        with self._database.read() as work:
            request = self._get_seen(work, actor, export_id)
        if actor.organisation == request.organisation:
            if request.state is not ExportState.RELEASED:
                raise NotAllowed(f"the files of {export_id} have not been released", rule="export.release")
            _check_leaving(request, file)
        return self._content(request, file)

    def read_notebook(self, actor: Actor, export_id: str) -> bytes:
        """Return the submitted notebook, for whoever is not of its author's unit.

        The unit has it in its workspace, where what is shown is counted. Code could write rows into a notebook, submit
        it and have them read here without anybody's review.
        """
        with self._database.read() as work:
            request = self._get_seen(work, actor, export_id)
        if actor.organisation == request.organisation:
            raise NotAllowed(
                f"the notebook of {export_id} is read in its workspace", rule="export.notebook",
                accepted="its reviewers",
            )  # fmt: skip
        return self._vault.get(request.notebook)

    def read_record(self, actor: Actor, export_id: str) -> SignedRecord:
        """Return the signed record of a sealed or released request."""
        with self._database.read() as work:
            request = self._get_seen(work, actor, export_id)
        if not request.record:
            raise NotFound(f"export {export_id} has no record yet", accepted="a sealed export")
        key = self._parts.keys.signing_key(SIGNING_KEY).public_key().public_bytes_raw()
        sealed = self._database.find_event("export:seal", request.id)
        proof = None if sealed is None else self._parts.prove(sealed)
        return SignedRecord(self._vault.get(request.record), request.signature, key, proof)

    def read_released(self, actor: Actor, export_id: str, file: str) -> ReleasedOutput:
        """Return a released file; raises NotFound for an unknown export or file, Invalid for one not released."""
        with self._database.read() as work:
            request = self._get_seen(work, actor, export_id)
        found = request.find_file(file)
        if found is None:
            raise NotFound(f"export {export_id} has no file `{file}`")
        if request.state is not ExportState.RELEASED:
            raise Invalid(f"export {export_id} is {request.state}", rule="export.release", accepted="a released export")
        _check_leaving(request, file)
        return ReleasedOutput(
            export=request.id, file=file, form=found.form, content=self._content(request, file), sha256=found.sha256,
            record_sha256=request.record, organisation=request.organisation, workspace=request.workspace,
            releases=(found.release,) if found.release else request.releases, grant=found.grant, demand=found.demand,
            authorization=request.authorization, entry=found.entry, specification=self._declared(found),
        )  # fmt: skip

    def _declared(self, file: ExportFile) -> str:
        """Return how an output was described: its specification, or what a model was declared as."""
        if file.form != "model" or not file.evidence:
            return file.specification
        return json.dumps(json.loads(self._vault.get(file.evidence)).get("declared", {}), ensure_ascii=False)

    def recall_of(self, export_id: str) -> str | None:
        """Return why a request was recalled, or None where it was not: for the platform's own rooms."""
        with self._database.read() as work:
            request = work.get(EXPORTS, export_id)
        return request.reason if request.state is ExportState.RECALLED else None

    def _content(self, request: ExportRequest, file: str) -> bytes:
        found = request.find_file(file)
        if found is None or not found.sha256:
            raise NotFound(f"export {request.id} has no file `{file}`")
        return self._vault.get(found.sha256)


def _check_leaving(request: ExportRequest, file: str) -> None:
    """Refuse an output that the reviewers withheld when they let the others go."""
    found = request.find_file(file)
    if found is not None and found.withheld:
        raise NotAllowed(f"output `{file}` of {request.id} was withheld: {found.withheld}", rule="export.withheld")

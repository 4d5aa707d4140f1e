"""An export request: its lifecycle, its record, and what makes a vote or a request fit. Pure: no SQL, HTTP, files.

Words: a *round* is one submission of a request, the first or one after a return; votes count in their round only.
*Held* means that the request's authorization is suspended; it goes back where it was.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sandbox.airlock.findings import Finding, Verdict
from shuzha.core.errors import Invalid, NotAllowed
from shuzha.core.lifecycle import Lifecycle, Move

REVIEWERS: Final = 2
MAX_REASON: Final = 2_000
MAX_COMMENTS: Final = 200
KEPT_FINDINGS: Final = 200


class ExportState(StrEnum):
    """Where an export request stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    RERUNNING = "rerunning"
    SCREENED = "screened"
    UNDER_REVIEW = "under_review"
    CONSOLIDATION = "consolidation"
    APPROVED = "approved"
    SEALED = "sealed"
    RELEASED = "released"
    RETURNED = "returned"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    HELD = "held"
    RECALLED = "recalled"


_S = ExportState
HOLDABLE: Final = (
    _S.DRAFT, _S.SUBMITTED, _S.RERUNNING, _S.SCREENED, _S.UNDER_REVIEW, _S.CONSOLIDATION, _S.APPROVED, _S.SEALED,
    _S.RETURNED,
)  # fmt: skip
ENDED: Final = (_S.RELEASED, _S.RECALLED, _S.REJECTED, _S.WITHDRAWN)
IN_REVIEW: Final = (_S.SCREENED, _S.UNDER_REVIEW, _S.CONSOLIDATION)

EXPORT: Lifecycle[ExportState] = Lifecycle(
    "export",
    ExportState,
    _S.DRAFT,
    (
        Move("submit", (_S.DRAFT, _S.RETURNED), _S.SUBMITTED, "platform"),
        Move("rerun", (_S.SUBMITTED, _S.RERUNNING), _S.RERUNNING, "platform"),
        Move("screen", (_S.RERUNNING,), _S.SCREENED, "checker", clock="export.review"),
        Move("review", (_S.SCREENED, _S.UNDER_REVIEW), _S.UNDER_REVIEW, "checker"),
        Move("consolidate", (_S.UNDER_REVIEW,), _S.CONSOLIDATION, "checker"),
        Move("approve", (_S.UNDER_REVIEW, _S.CONSOLIDATION), _S.APPROVED, "platform"),
        Move("seal", (_S.APPROVED,), _S.SEALED, "platform"),
        Move("release", (_S.SEALED,), _S.RELEASED, "operator"),
        # Approved ones too: what was released since may have come too near to them (`finish`).
        Move("return", (_S.RERUNNING, *IN_REVIEW, _S.APPROVED, _S.SEALED), _S.RETURNED, "analyst"),
        Move("reject", (_S.UNDER_REVIEW, _S.CONSOLIDATION, _S.HELD), _S.REJECTED),
        Move("withdraw", (_S.DRAFT, _S.SUBMITTED, _S.UNDER_REVIEW, _S.RETURNED), _S.WITHDRAWN),
        Move("hold", HOLDABLE, _S.HELD, "authority"),
        # The table names the way back of a request that was being run; `resumed_state` has the others.
        Move("resume", (_S.HELD,), _S.SUBMITTED),
        Move("recall", (_S.RELEASED,), _S.RECALLED),
    ),
)


class Choice(StrEnum):
    """What a reviewer can say. Changes asked for are no refusal."""

    APPROVE = "approve"
    CHANGES = "changes"
    REJECT = "reject"


OUTCOME: Final = {Choice.APPROVE: "approve", Choice.CHANGES: "return", Choice.REJECT: "reject"}


@dataclass(frozen=True, slots=True)
class Withheld:
    """An output that a reviewer who approves the rest holds back, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Comment:
    """A remark on a request, or on one of its outputs; `private` ones are between reviewers and authority."""

    by: str
    organisation: str
    at: dt.datetime
    text: str
    round: int
    file: str = ""
    private: bool = False


@dataclass(frozen=True, slots=True)
class Vote:
    """One reviewer's answer in one round, with the reason; an approval may withhold some of the outputs."""

    reviewer: str
    organisation: str
    choice: Choice
    reason: str
    at: dt.datetime
    round: int
    withheld: tuple[Withheld, ...] = ()


@dataclass(frozen=True, slots=True)
class RunNote:
    """What is kept of a clean-room run: how it ended, hashes of executed notebook and environment, its log.

    `changed_cells` showed something else than in the session that was submitted.
    """

    id: str
    state: str
    seconds: int
    environment: str
    notebook: str
    log: tuple[str, ...]
    changed_cells: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One output: its `form` (table, verification, figure, text), what it rests on, the bytes that may leave.

    `sha256` is of the bytes to be released, empty where nothing may be; `kernel_sha256` of what the notebook made;
    `evidence` of the full report. `withheld` says why the reviewers held it back; it then stays in the vault.
    """

    name: str
    form: str
    type: str
    context: str
    verdict: Verdict
    sha256: str = ""
    size: int = 0
    rows: int = 0
    kernel_sha256: str = ""
    specification: str = ""
    evidence: str = ""
    release: str = ""
    grant: str = ""
    demand: str = ""
    entry: str = ""
    columns: tuple[str, ...] = ()
    withheld: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a request, for its page; the audit log has the whole of it.

    `rules` are those that blocked it, where the platform returned it for them.
    """

    verb: str
    by: str
    at: dt.datetime
    reason: str = ""
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Submission:
    """What an analyst submits: the notebook, the releases of the workspace, and which declared outputs are meant.

    `session` has the digest of each output that his kernel had declared then (`rerun.digest`); `own_files` are the ids
    of what his unit brought into the workspace.
    """

    workspace: str
    authorization: str
    scenario: str
    purpose: str
    title: str
    context: str
    releases: tuple[str, ...]
    notebook: bytes
    outputs: tuple[str, ...] = ()
    session: tuple[tuple[str, str], ...] = ()
    own_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """One export request; `notebook` is the snapshot's SHA-256, `outputs` the names meant (empty: all).

    `session` is what the author's kernel told of its outputs, to be compared with the clean room's.
    `own_files` are the ids of the unit's own files that the clean room shows beside the releases.
    """

    id: str
    title: str
    context: str
    author: str
    organisation: str
    workspace: str
    authorization: str
    scenario: str
    purpose: str
    releases: tuple[str, ...]
    outputs: tuple[str, ...]
    notebook: str
    state: ExportState
    created_at: dt.datetime
    round: int = 1
    held_from: str = ""
    reason: str = ""
    due: dt.date | None = None
    due_provisional: bool = False
    run: RunNote | None = None
    rules_version: str = ""
    verdict: str = ""
    files: tuple[ExportFile, ...] = ()
    findings: tuple[Finding, ...] = ()
    votes: tuple[Vote, ...] = ()
    steps: tuple[Step, ...] = ()
    record: str = ""
    signature: str = ""
    released_at: dt.datetime | None = None
    own_files: tuple[str, ...] = ()
    session: tuple[tuple[str, str], ...] = ()
    comments: tuple[Comment, ...] = ()
    revision: int = 1

    @property
    def round_votes(self) -> tuple[Vote, ...]:
        """The votes of the present round."""
        return tuple(vote for vote in self.votes if vote.round == self.round)

    @property
    def leaving(self) -> tuple[ExportFile, ...]:
        """The outputs that leave with the request: those that no reviewer withheld."""
        return tuple(file for file in self.files if not file.withheld)

    @property
    def asked(self) -> bool:
        """Whether the last remark that the author's unit can read is not its own, on a request that is still open."""
        last = next((one for one in reversed(self.comments) if not one.private), None)
        return last is not None and last.organisation != self.organisation and self.state not in ENDED

    def find_file(self, name: str) -> ExportFile | None:
        """Return the output of this name, or None."""
        return next((file for file in self.files if file.name == name), None)


def check_submission(submission: Submission) -> None:
    """Refuse a submission that leaves out what reviewers need to judge it."""
    for name in ("workspace", "authorization", "purpose", "title", "context"):
        if not str(getattr(submission, name)).strip():
            raise Invalid(f"the export request leaves `{name}` empty", rule="export.submission", accepted=f"its {name}")
    if not submission.releases:
        raise Invalid(
            "the export request names no release", rule="export.submission", accepted="the workspace's releases"
        )
    if not submission.notebook:
        raise Invalid("the export request has no notebook", rule="export.submission", accepted="the saved notebook")


def check_reason(reason: str, what: str = "a decision") -> str:
    """Return the reason, trimmed; refuse a decision without one, and one of more than 2,000 characters."""
    if not reason.strip() or len(reason) > MAX_REASON:
        raise Invalid(f"{what} without a reason", rule="decision.reason", accepted=f"1 to {MAX_REASON} characters")
    return reason.strip()


def check_reviewer(request: ExportRequest, reviewer: str, organisation: str) -> None:
    """Refuse a reviewer who is the author, of the author's unit, or who has voted in this round (in whatever role)."""
    if reviewer == request.author:
        raise NotAllowed(f"cannot review {request.id}: the reviewer is its author", rule="export.independent")
    if organisation == request.organisation:
        raise NotAllowed(f"cannot review {request.id}: the reviewer is of the author's unit", rule="export.independent")
    if any(vote.reviewer == reviewer for vote in request.round_votes):
        raise NotAllowed(f"cannot vote on {request.id} again in this round", rule="export.one_vote")


def check_withheld(request: ExportRequest, choice: Choice, withheld: Mapping[str, str]) -> tuple[Withheld, ...]:
    """Return the outputs that an approval withholds, in the request's order, each with its reason.

    Refuses them beside another choice, an output that the request does not have, one without a reason, and all of them.
    """
    if not withheld:
        return ()
    unknown = set(withheld) - {file.name for file in request.files}
    if choice is not Choice.APPROVE or unknown or len(withheld) == len(request.files):
        raise Invalid(
            f"cannot withhold these outputs of {request.id}", rule="export.withheld",
            accepted="with an approval, some of the request's outputs; to hold all back ask for changes, or reject",
        )  # fmt: skip
    return tuple(
        Withheld(f.name, check_reason(withheld[f.name], f"withholding `{f.name}`"))
        for f in request.files
        if f.name in withheld
    )


def check_comment(request: ExportRequest, text: str, file: str) -> str:
    """Return the remark, trimmed; refuse an empty or long one, and one on an output that the request does not have."""
    if not text.strip() or len(text) > MAX_REASON:
        raise Invalid("a comment says something", rule="export.comment", accepted=f"1 to {MAX_REASON} characters")
    if file and request.find_file(file) is None:
        raise Invalid(f"{request.id} has no output `{file}`", rule="export.comment", accepted="one of its outputs")
    if len(request.comments) >= MAX_COMMENTS:
        raise Invalid(f"{request.id} has {MAX_COMMENTS} comments", rule="export.comment", accepted="a decision")
    return text.strip()


def outcome(votes: tuple[Vote, ...]) -> str | None:
    """Return the verb that the votes of a round ask for: approve, return, reject, or consolidate where they differ.

    Approvals that withhold different outputs differ too. None until both reviewers have voted.
    """
    if len(votes) < REVIEWERS:
        return None
    answers = {(vote.choice, frozenset(one.file for one in vote.withheld)) for vote in votes}
    return OUTCOME[votes[0].choice] if len(answers) == 1 else "consolidate"


def settle_files(files: tuple[ExportFile, ...], withheld: tuple[Withheld, ...]) -> tuple[ExportFile, ...]:
    """Return the outputs, each with the reason why it is held back, if it is."""
    reasons = {one.file: one.reason for one in withheld}
    return tuple(replace(file, withheld=reasons.get(file.name, "")) for file in files)


def resumed_state(request: ExportRequest) -> ExportState:
    """Return where a held request goes back to; what was being run is run again."""
    before = ExportState(request.held_from)
    return ExportState.SUBMITTED if before is ExportState.RERUNNING else before


def as_seen_by(request: ExportRequest, account: str, organisation: str = "") -> ExportRequest:
    """Return the request without what this person may not know of it.

    Until two votes are in, every vote but his own, and what other reviewers remark to each other; and for the author's
    unit, remarks that are not meant for it, at any time, and what would let data out that nobody has released: labels
    and figures in findings (advice in its workspace has them), and the specifications and contexts of outputs that have
    not left, which a notebook's code wrote after it saw the data.
    """
    if organisation == request.organisation:
        told = {(one.rule, one.severity, one.file, one.place, one.accepted): one for one in _told(request)}
        files = tuple(_outside(file, request.state) for file in request.files)
        request = replace(request, files=files, findings=tuple(told.values()))
    blind = request.state in (*IN_REVIEW, ExportState.HELD) and len(request.round_votes) < REVIEWERS
    comments = tuple(
        one
        for one in request.comments
        if one.by == account
        or not one.private
        or (organisation != request.organisation and not (blind and one.round == request.round))
    )
    request = replace(request, comments=comments)
    if not blind:
        return request
    shown = tuple(vote for vote in request.votes if vote.round < request.round or vote.reviewer == account)
    steps = tuple(
        step for step in request.steps if step.verb != "review" or step.by == account or step.at < _since(request)
    )
    return replace(request, votes=shown, steps=steps)


def _told(request: ExportRequest) -> tuple[Finding, ...]:
    return tuple(finding.outside() for finding in request.findings)


def _outside(file: ExportFile, state: ExportState) -> ExportFile:
    """Return an output as its unit may read of it outside of the workspace."""
    left = state in (ExportState.RELEASED, ExportState.RECALLED) and not file.withheld
    return file if left else replace(file, specification="", context="")


def _since(request: ExportRequest) -> dt.datetime:
    """Return when the present round began."""
    begun = [step.at for step in request.steps if step.verb == "submit"]
    return max(begun, default=request.created_at)

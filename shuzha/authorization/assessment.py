"""The experts' review (J23 art. 10(3)): third parties, blind, without conflict of interest, by stated criteria.

Blind both ways: an expert sees no name of the unit nor another expert's points, the unit never learns who its experts
are, and whoever leads the review sees no points before all have scored. Points are integers; a mean is rounded half up.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shuzha.authorization.agreement import Agreement, Clause
from shuzha.authorization.announcement import Announcement, Criterion
from shuzha.authorization.evidence import Evidence
from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move

STRICT = {"extra": "forbid"}
RULE = "J23 art. 10(3)"
NO_CONFLICT = "no conflict of interest"
_WRITTEN = frozenset({"purposes", "calculation", "rights_and_duties", "security", "exit", "asset_disposal"})


class AssessmentState(StrEnum):
    """Where one expert's assessment of one application stands."""

    INVITED = "invited"
    DECLARED = "declared"
    SCORED = "scored"
    RECUSED = "recused"
    DISMISSED = "dismissed"


_S = AssessmentState
OPEN = (_S.INVITED, _S.DECLARED)
ASSESSMENT: Lifecycle[AssessmentState] = Lifecycle(
    "assessment",
    AssessmentState,
    _S.INVITED,
    (
        Move("declare", (_S.INVITED,), _S.DECLARED, "expert"),
        Move("score", (_S.DECLARED,), _S.SCORED, "authority"),
        Move("recuse", OPEN, _S.RECUSED, "authority"),
        Move("dismiss", OPEN, _S.DISMISSED),
    ),
)


@dataclass(frozen=True, slots=True)
class Points:
    """The points given for one criterion."""

    __pydantic_config__ = STRICT
    criterion: str
    points: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """One expert's assessment; `organisation` is the expert's, `lead` the provider that leads the review (or empty).

    `points` and `comment` are empty to everyone but the expert until the review is closed.
    """

    id: str
    authorization: str
    expert: str
    organisation: str
    lead: str
    appointed_by: str
    state: AssessmentState
    invited_at: dt.datetime
    due: dt.date | None = None
    due_provisional: bool = False
    declaration: str = ""
    points: tuple[Points, ...] = ()
    comment: str = ""
    reason: str = ""
    revision: int = 1

    @property
    def total(self) -> int:
        """The sum of the points."""
        return sum(each.points for each in self.points)


@dataclass(frozen=True, slots=True)
class BlindEntry:
    """An entry as experts see it."""

    code: str
    title_zh: str
    title_en: str


@dataclass(frozen=True, slots=True)
class BlindApplication:
    """What an expert reads: everything that is judged, and no name. `alias` stands for the application."""

    alias: str
    mode: str
    field: str
    conditions: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    entries: tuple[BlindEntry, ...]
    clauses: tuple[Clause, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """One criterion over all experts: the mean in hundredths of a point, the lowest and the highest."""

    name: str
    most: int
    mean_hundredths: int
    least: int
    highest: int


@dataclass(frozen=True, slots=True)
class Report:
    """The result of the review, without names: what goes to the government for approval."""

    score: int
    experts: int
    recused: int
    criteria: tuple[CriterionResult, ...]
    comments: tuple[str, ...]
    at: dt.datetime


def alias_of(authorization_id: str) -> str:
    """Return how an application is called before experts: the end of its id, which names nobody."""
    return authorization_id[-6:].upper()


def hide_names(agreement: Agreement, names: Iterable[str]) -> tuple[Clause, ...]:
    """Return the agreement's clauses with these names blacked out, for blind reading."""
    hidden = sorted({name.strip() for name in names if len(name.strip()) > 1}, key=len, reverse=True)
    clauses = []
    for clause in agreement.clauses():
        text = clause.text
        # Only what the unit wrote itself can name it: `operator 50.00%` names a role.
        for name in hidden if clause.part in _WRITTEN else ():
            text = text.replace(name, "███")
        clauses.append(Clause(clause.number, clause.part, clause.title_zh, clause.title_en, text, clause.article))
    return tuple(clauses)


def check_points(points: Sequence[Points], comment: str, criteria: Sequence[Criterion]) -> None:
    """Refuse points that miss, double or overstep a criterion, and a score without a comment."""
    most = {each.name: each.most for each in criteria}
    given = [each.criterion for each in points]
    if sorted(given) != sorted(most):
        raise Invalid("the points are not one for each criterion", rule=RULE, accepted=", ".join(most))
    for each in points:
        if not 0 <= each.points <= most[each.criterion]:
            raise Invalid(
                f"the points for `{each.criterion}` are out of range", rule=RULE,
                accepted=f"0 to {most[each.criterion]}",
            )  # fmt: skip
    if not comment.strip():
        raise Invalid("a score without a comment", rule=RULE, accepted="a sentence that says why")


def make_report(assessments: Iterable[Assessment], announcement: Announcement, at: dt.datetime) -> Report:
    """Return the report over all who scored; refuses an unfinished review, too few experts, and a score that fails."""
    found = tuple(assessments)
    waiting = [each for each in found if each.state in OPEN]
    if waiting:
        raise Invalid(
            f"{len(waiting)} experts have not scored yet", rule=RULE, accepted="wait, or dismiss who does not answer"
        )
    scored = [each for each in found if each.state is AssessmentState.SCORED]
    needed = announcement.content.experts
    if len(scored) < needed:
        raise Invalid(f"{len(scored)} of {needed} experts have scored", rule=RULE, accepted="appoint further experts")
    score = _mean(sum(each.total for each in scored), len(scored))
    if score < announcement.content.pass_score:
        raise Invalid(
            f"the experts' score is {score}, below the pass mark of {announcement.content.pass_score}", rule=RULE,
            accepted="reject",
        )  # fmt: skip
    recused = sum(each.state is AssessmentState.RECUSED for each in found)
    criteria = tuple(_result(each, scored) for each in announcement.content.criteria)
    # Sorted by their text, so that the order tells nothing of who wrote which.
    comments = tuple(sorted(each.comment for each in scored))
    return Report(score, len(scored), recused, criteria, comments, at)


def _result(criterion: Criterion, scored: Sequence[Assessment]) -> CriterionResult:
    given = [each.points for one in scored for each in one.points if each.criterion == criterion.name]
    mean = _mean(100 * sum(given), len(given))
    return CriterionResult(criterion.name, criterion.most, mean, min(given), max(given))


def _mean(total: int, count: int) -> int:
    return (2 * total + count) // (2 * count)

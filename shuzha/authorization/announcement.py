"""The yearly announcement: under which mode, on which conditions and in which window may be applied (J23 art. 10(1)).

Words: the *mode* says who authorizes what (J23 art. 5, W25 art. 17): *comprehensive* (综合, 整体) by the authority over
fields; *field* (分领域) with the provider of the field, which leads the expert review; *individual* (个别) with one
provider, by a specific plan (W25 art. 19). The *window* is in days of the city, both included.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from shuzha.authorization.evidence import EvidenceKind
from shuzha.core.clock import end_of_day, start_of_day
from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move

STRICT = {"extra": "forbid"}
LEAST_EXPERTS = 3
MOST_EXPERTS = 15
LONGEST_NOTICE = 60
FULL_SCORE = 100
NEEDED_EVIDENCE = (EvidenceKind.OPERATION, EvidenceKind.COMPETENCE)
RULE = "J23 art. 10(1)"


class Mode(StrEnum):
    """Who authorizes what: J23 art. 5 (comprehensive, by field) and W25 art. 17 (overall, individual)."""

    COMPREHENSIVE = "comprehensive"
    FIELD = "field"
    INDIVIDUAL = "individual"


class AnnouncementState(StrEnum):
    """Where an announcement stands between its draft and the end of its window."""

    DRAFT = "draft"
    AGREED = "agreed"
    PUBLISHED = "published"
    CLOSED = "closed"
    CANCELLED = "cancelled"


_S = AnnouncementState
ANNOUNCEMENT: Lifecycle[AnnouncementState] = Lifecycle(
    "announcement",
    AnnouncementState,
    _S.DRAFT,
    (
        Move("agree", (_S.DRAFT,), _S.AGREED, "authority"),
        Move("publish", (_S.DRAFT, _S.AGREED), _S.PUBLISHED, "operator"),
        Move("close", (_S.PUBLISHED,), _S.CLOSED),
        Move("cancel", (_S.DRAFT, _S.AGREED, _S.PUBLISHED), _S.CANCELLED),
    ),
)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that experts score, and the most points it can get."""

    __pydantic_config__ = STRICT
    name: str
    most: int


USUAL_CRITERIA = (
    Criterion("sound operation", 25), Criterion("technical competence", 25), Criterion("security", 30),
    Criterion("value of the scenarios", 20),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AnnouncementDraft:
    """What is announced; `plan` names the implementation plan it rests on, `provider` who leads or agrees by mode.

    `evidence` is what must be attached; `notice_days` is how many working days an approval is shown before it may be
    signed (no text states a number, so the announcement does).
    """

    __pydantic_config__ = STRICT
    title: str
    year: int
    mode: Mode
    plan: str
    conditions: tuple[str, ...]
    opens: dt.date
    closes: dt.date
    field: str = ""
    provider: str = ""
    evidence: tuple[EvidenceKind, ...] = NEEDED_EVIDENCE
    criteria: tuple[Criterion, ...] = USUAL_CRITERIA
    pass_score: int = 60
    experts: int = LEAST_EXPERTS
    notice_days: int = 5


@dataclass(frozen=True, slots=True)
class Announcement:
    """One announcement; applications rest on a published one."""

    id: str
    authority: str
    author: str
    content: AnnouncementDraft
    state: AnnouncementState
    opens_at: dt.datetime
    closes_at: dt.datetime
    published_at: dt.datetime | None = None
    reason: str = ""
    revision: int = 1

    def is_open(self, now: dt.datetime) -> bool:
        """Return whether may be applied now: published, and within the window's first and last moment."""
        return self.state is AnnouncementState.PUBLISHED and self.opens_at <= now < self.closes_at

    def standing(self, now: dt.datetime) -> AnnouncementState:
        """Return its state as it counts at this moment: a published one is closed once its window is over."""
        over = self.state is AnnouncementState.PUBLISHED and self.closes_at <= now
        return AnnouncementState.CLOSED if over else self.state

    @property
    def lead(self) -> str:
        """The provider that leads the expert review (J23 art. 10(3)); empty where the authority does."""
        return self.content.provider if self.content.mode is Mode.FIELD else ""


def make_announcement(
    identifier: str, authority: str, author: str, content: AnnouncementDraft, today: dt.date
) -> Announcement:
    """Return a new announcement; refuses what `check_announcement` refuses."""
    check_announcement(content, today)
    return Announcement(
        identifier, authority, author, content, ANNOUNCEMENT.initial, start_of_day(content.opens),
        end_of_day(content.closes),
    )  # fmt: skip


def check_announcement(content: AnnouncementDraft, today: dt.date) -> None:
    """Refuse an announcement without plan, conditions or a window to come, and one whose review cannot be held."""
    for name, rule in (("title", RULE), ("plan", "W25 art. 19")):
        if not str(getattr(content, name)).strip():
            raise Invalid(f"the announcement leaves `{name}` empty", rule=rule, accepted=f"its {name}")
    if not content.conditions or not all(each.strip() for each in content.conditions):
        raise Invalid(
            "the announcement names no condition", rule=RULE, accepted="at least one condition", field="conditions"
        )
    _check_window(content, today)
    _check_parties(content)
    _check_review(content)
    missing = [kind.value for kind in NEEDED_EVIDENCE if kind not in content.evidence]
    if missing:
        raise Invalid(
            f"the announcement asks for no evidence of: {', '.join(missing)}", rule="J23 art. 9",
            accepted=", ".join(NEEDED_EVIDENCE), field="evidence",
        )  # fmt: skip


def _check_window(content: AnnouncementDraft, today: dt.date) -> None:
    if content.closes < content.opens or content.closes < today:
        raise Invalid(
            "the window ends before it starts, or is over already", rule=RULE, accepted="first day, then a last day",
            field="closes",
        )  # fmt: skip
    if content.opens.year != content.year:
        raise Invalid(
            f"the window opens in {content.opens.year}, the announcement is for {content.year}", rule=RULE,
            accepted="a window that opens in the announcement's year", field="opens",
        )  # fmt: skip
    if not 0 <= content.notice_days <= LONGEST_NOTICE:
        raise Invalid(
            "the public notice has an unusable length", rule="W25 art. 20", accepted=f"0 to {LONGEST_NOTICE} days",
            field="notice_days",
        )  # fmt: skip


def _check_parties(content: AnnouncementDraft) -> None:
    if content.mode is Mode.FIELD and not content.field.strip():
        raise Invalid(
            "an authorization by field names no field", rule="J23 art. 5", accepted="the field", field="field"
        )
    if content.mode is Mode.COMPREHENSIVE and content.provider:
        raise Invalid(
            "a comprehensive authorization names one provider", rule="J23 art. 5", accepted="no provider",
            field="provider",
        )  # fmt: skip
    if content.mode is not Mode.COMPREHENSIVE and not content.provider:
        rule = "J23 art. 5" if content.mode is Mode.FIELD else "W25 art. 19"
        raise Invalid(
            f"mode {content.mode} names no provider", rule=rule, accepted="the provider's id", field="provider"
        )


def _check_review(content: AnnouncementDraft) -> None:
    rule = "J23 art. 10(3)"
    names = {each.name.strip() for each in content.criteria}
    whole = sum(each.most for each in content.criteria)
    if len(names) != len(content.criteria) or "" in names or any(each.most < 1 for each in content.criteria):
        raise Invalid(
            "a criterion is empty, doubled or without points", rule=rule, accepted="names, 1 or more points",
            field="criteria",
        )  # fmt: skip
    if whole != FULL_SCORE:
        raise Invalid(
            f"the criteria sum to {whole} points", rule=rule, accepted=f"{FULL_SCORE} points together", field="criteria"
        )
    if not 0 < content.pass_score <= FULL_SCORE:
        raise Invalid("the pass mark is out of range", rule=rule, accepted=f"1 to {FULL_SCORE}", field="pass_score")
    if not LEAST_EXPERTS <= content.experts <= MOST_EXPERTS:
        raise Invalid(
            f"a panel of {content.experts}", rule=rule, accepted=f"{LEAST_EXPERTS} to {MOST_EXPERTS} experts",
            field="experts",
        )  # fmt: skip

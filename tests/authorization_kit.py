"""A small city for tests: real records in a folder, a clock that moves when told, people of each role."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from pathlib import Path

from policies import Policies
from shuzha.authorization.agreement import Agreement, Allocation, Income, Operation, OutputKind, Term
from shuzha.authorization.announcement import Announcement, AnnouncementDraft, Mode
from shuzha.authorization.assessment import Assessment, Points
from shuzha.authorization.evidence import EvidenceKind
from shuzha.authorization.model import Application, Authorization, Demand, DemandDraft, Grant
from shuzha.authorization.qualification import clear_checks
from shuzha.authorization.service import AuthorizationService, GrantScopes
from shuzha.catalog.model import Element, ElementType, Entry, EntryDraft, EntryState, Role, SubjectKind, Title
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.clock import FixedClock, city_date
from shuzha.core.conditions import Condition
from shuzha.core.ids import new_id
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.work import Database, Work
from shuzha.people.model import Account, AccountState, Organisation, OrganisationKind
from shuzha.people.store import ACCOUNTS, ORGANISATIONS

NOW = dt.datetime(2026, 3, 2, 4, 0, tzinfo=dt.UTC)


def person(name: str, organisation: str, *roles: str) -> Actor:
    return Actor(f"acc_{name}", name, organisation, frozenset(roles), "portal")


def element(name: str, role: Role = Role.PLAIN, kind: ElementType = ElementType.TEXT) -> Element:
    return Element(name, Title(name, name), kind, role)


INSURANCE = (
    element("resident_id", Role.DIRECT),
    element("name", Role.DIRECT),
    element("period", Role.PLAIN),
    element("kind", Role.PLAIN),
    element("employer", Role.DIRECT),
    element("base", Role.SENSITIVE, ElementType.INTEGER),
    element("paid", Role.PLAIN, ElementType.BOOLEAN),
    element("district_code", Role.QUASI),
    element("note", Role.FREE_TEXT),
)


@dataclass
class City:
    """The platform's lower rooms over one folder."""

    folder: Path
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    url: str = ""

    def __post_init__(self) -> None:
        self.database = Database(self.url or f"sqlite:///{self.folder}/records.db", self.clock)
        self.database.create_tables()
        self.law = LawBook.load("jinan")
        self.keys = KeyRing.create(self.folder / "keys")
        self.policies = Policies(GrantScopes(self.database))
        self.service = AuthorizationService(self.database, self.policies, self.law, self.keys)
        self.authority = person("chen", "org_authority", "authority")
        self.operator = person("li", "org_operator", "operator")
        self.analyst = person("zhao", "org_operator", "analyst")
        self.rival = person("sun", "org_rival", "operator")
        self.provider = person("wang", "org_provider", "provider")
        self.other_provider = person("qian", "org_elsewhere", "provider")
        self.regulator = person("wu", "org_regulator", "regulator")
        self.platform = platform_actor("worker")
        self.experts = tuple(person(f"expert{number}", f"org_institute{number}", "expert") for number in range(1, 5))
        with self.database.work(self.platform) as work:
            for actor in (*self.experts, self.operator, self.provider, self.other_provider):
                self._enrol(work, actor)

    def _enrol(self, work: Work, actor: Actor) -> None:
        now, name = self.clock.now(), actor.organisation.removeprefix("org_")
        if work.find(ORGANISATIONS, actor.organisation) is None:
            kind = OrganisationKind.DEPARTMENT
            work.add(ORGANISATIONS, Organisation(actor.organisation, name, f"{name} 单位", name, kind, actor.name, now))
        if actor.has("expert") and work.find(ACCOUNTS, actor.id) is None:
            work.add(ACCOUNTS, Account(
                actor.id, actor.name, f"u-{actor.name}", actor.name, actor.organisation, actor.roles, "",
                AccountState.ACTIVE, now,
            ))  # fmt: skip

    @property
    def today(self) -> dt.date:
        return city_date(self.clock.now())

    def add_entry(self, code: str = "2020101", **changes: object) -> Entry:
        """Put a published entry of the social insurance register into the catalogue."""
        sheet = EntryDraft(
            code, "social_insurance", Title("社会保险", "social insurance"), "payments", INSURANCE,
            subject_kind=SubjectKind.PERSON, entity_key="resident_id",
        )  # fmt: skip
        sheet = replace(sheet, **{k: v for k, v in changes.items() if k in EntryDraft.__dataclass_fields__})
        entry = Entry(
            new_id("ent"), code, "org_provider", "acc_wang", sheet, EntryState.PUBLISHED, self.clock.now(),
            self.clock.now(), version=1,
        )  # fmt: skip
        entry = replace(entry, **{k: v for k, v in changes.items() if k not in EntryDraft.__dataclass_fields__})
        with self.database.work(self.platform) as work:
            work.add(ENTRIES, entry)
        return entry

    def change_entry(self, entry: Entry, **changes: object) -> Entry:
        with self.database.work(self.platform) as work:
            return work.save(ENTRIES, replace(work.get(ENTRIES, entry.id), **changes))

    def agreement(self, *entries: Entry, **changes: object) -> Agreement:
        made = Agreement(
            entries=tuple(entry.id for entry in entries),
            term=Term(self.today, self.today + dt.timedelta(days=364)),
            purposes=("loan-review", "statistics"),
            operations=tuple(Operation),
            output_kinds=(OutputKind.VERIFICATION, OutputKind.REPORT),
            income=Income("price times calls, less waived use", 1_000, Allocation(3_000, 2_000, 5_000)),
            rights_and_duties="the operator serves users and reports yearly",
            security="data stays in the sandbox",
            exit="freeze, hand over, destroy",
            asset_disposal="releases and keys are destroyed",
        )
        return replace(made, **changes)

    def announcement(self, **changes: object) -> AnnouncementDraft:
        """Return what the authority announces: a window of today alone, and no wait before the signatures."""
        made = AnnouncementDraft(
            title="authorized operation", year=self.today.year, mode=Mode.COMPREHENSIVE, plan="plan 2026-1",
            conditions=("a data security officer",), opens=self.today, closes=self.today, notice_days=0,
        )  # fmt: skip
        return replace(made, **changes)

    def announce(self, **changes: object) -> Announcement:
        """Publish an announcement; where it names a provider, that one agrees."""
        found = self.service.draft_announcement(self.authority, self.announcement(**changes))
        if found.content.provider:
            self.service.agree_announcement(self.provider, found.id, "our plan too")
        return self.service.publish_announcement(self.authority, found.id, "for this year")

    def application(
        self, *entries: Entry, announcement: Announcement | None = None, renews: str = "", **changes: object
    ) -> Application:
        return Application(
            (announcement or self.announce()).id, "social insurance", "Han Mei", "Li Lei", "training-2026-02",
            self.agreement(*entries, **changes), renews,
        )  # fmt: skip

    def attach(self, authorization: Authorization, *kinds: EvidenceKind) -> None:
        """Attach a page of text as evidence of each kind; of what an announcement must ask for where none is named."""
        for kind in kinds or (EvidenceKind.OPERATION, EvidenceKind.COMPETENCE):
            self.service.attach_evidence(self.operator, authorization.id, kind, f"{kind}.txt", b"accounts of 2025")

    def panel(self, authorization: Authorization, *totals: int, lead: Actor | None = None) -> list[Assessment]:
        """Let as many experts as there are totals score the application; each total is spread over the criteria."""
        experts = self.experts[: len(totals)]
        asked = self.service.appoint_experts(
            lead or self.authority, authorization.id, [one.id for one in experts], "third parties"
        )
        for expert, one, total in zip(experts, asked, totals, strict=True):
            self.service.declare_no_conflict(expert, one.id)
            self.service.score(expert, one.id, self.spread(one, total), f"worth {total}")
        return [self.service.get_assessment(self.authority, one.id) for one in asked]

    def spread(self, assessment: Assessment, total: int) -> tuple[Points, ...]:
        """Return points that sum to `total`, filled from the first criterion on."""
        expert = next(one for one in self.experts if one.id == assessment.expert)
        given = []
        for criterion in self.service.read_blind(expert, assessment.id).criteria:
            given.append(Points(criterion.name, min(total, criterion.most)))
            total -= given[-1].points
        return tuple(given)

    def authorize(self, *entries: Entry, to: str = "countersign", **changes: object) -> Authorization:
        """Lead an application through the real verbs up to and with verb `to`."""
        service, reason = self.service, "in order"
        found = service.apply(self.operator, self.application(*entries, **changes))
        steps = {
            "qualify": lambda: self._qualify(found),
            "review": lambda: self._review(found, 86, 86, 86),
            "approve": lambda: service.approve(self.authority, found.id, "JZ-2026-7", reason),
            "publicize": lambda: service.publicize(self.authority, found.id, reason),
            "sign": lambda: service.sign(self.operator, found.id),
            "countersign": lambda: service.countersign(self.authority, found.id),
        }
        if to == "apply":
            return found
        for verb, step in steps.items():
            found = step()
            if verb == to:
                break
        return found

    def _qualify(self, found: Authorization) -> Authorization:
        self.attach(found)
        return self.service.qualify(self.authority, found.id, clear_checks(self.today), "in order")

    def _review(self, found: Authorization, *totals: int) -> Authorization:
        self.panel(found, *totals)
        return self.service.review(self.authority, found.id, "in order")

    def draft(self, authorization: Authorization, entry: Entry, **changes: object) -> DemandDraft:
        made = DemandDraft(
            authorization=authorization.id, entry=entry.id, scenario="banks ask whether an applicant is insured",
            value="faster loans for families", columns=("resident_id", "period", "kind", "paid", "district_code"),
            operations=(Operation.AGGREGATE, Operation.VERIFY), output_kinds=(OutputKind.VERIFICATION,),
            purposes=("loan-review",), term=Term(self.today, self.today + dt.timedelta(days=90)),
            row_filter=(Condition("kind", "eq", "pension"),),
        )  # fmt: skip
        return replace(made, **changes)

    def demand(self, authorization: Authorization, entry: Entry, **changes: object) -> Demand:
        """Make a demand that the authority has checked."""
        found = self.service.draft_demand(self.operator, self.draft(authorization, entry, **changes))
        self.service.submit_demand(self.operator, found.id)
        return self.service.check_demand(self.authority, found.id, "clear and of value")

    def grant(self, authorization: Authorization, entry: Entry, **changes: object) -> Grant:
        """Make a granted demand."""
        found = self.demand(authorization, entry, **changes)
        return self.service.grant_demand(self.provider, found.id, "within the agreement")

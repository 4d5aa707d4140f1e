"""A small catalogue on real SQLite, real policies and a real lake, for tests."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import polars as pl

from policies import NoScopes, Policies
from shuzha.catalog.aggregation import Aggregation
from shuzha.catalog.lake import RawZone
from shuzha.catalog.model import (
    Batch,
    BatchMode,
    Element,
    ElementType,
    Entry,
    EntryDraft,
    Finding,
    Opening,
    Role,
    Sharing,
    SubjectKind,
    TermsKind,
    Title,
)
from shuzha.catalog.scanning import Scanner, scan_frame
from shuzha.catalog.service import CatalogService
from shuzha.core.actor import Actor
from shuzha.core.clock import FixedClock
from shuzha.core.lawbook import LawBook
from shuzha.core.work import Database

MOMENT = dt.datetime(2026, 3, 2, 2, 0, tzinfo=dt.UTC)


def person(name: str, organisation: str, *roles: str) -> Actor:
    return Actor(f"acc_{name}", name, organisation, frozenset(roles), "api")


def element(name: str, kind: ElementType = ElementType.TEXT, **changes: object) -> Element:
    return replace(Element(name, Title(f"数据项 {name}", name), kind), **changes)


def make_sheet(**changes: object) -> EntryDraft:
    """Return the complete sheet of a small register of payments, keyed by person and month."""
    sheet = EntryDraft(
        code="3010001",
        name="payments",
        title=Title("缴费登记", "payments"),
        abstract="who paid what in which month",
        elements=(
            element("person", role=Role.DIRECT, grade=3, nullable=False),
            element("month", nullable=False),
            element("amount", ElementType.DECIMAL),
            element("paid_on", ElementType.DATE),
            element("seen_at", ElementType.DATETIME),
            element("late", ElementType.BOOLEAN),
            element("visits", ElementType.INTEGER),
        ),
        classification="3010001",
        subject_kind=SubjectKind.PERSON,
        entity_key="person",
        key_columns=("person", "month"),
        update_marker="seen_at",
        sharing=Sharing(TermsKind.CONDITIONAL, condition="for the stated purpose"),
        opening=Opening(TermsKind.NONE, basis="个人信息保护法 art. 13"),
        grade=3,
    )
    return replace(sheet, **changes)


ROWS = (
    "person,month,amount,paid_on,seen_at,late,visits\n"
    "甲一,2026-01,120.50,2026-01-31,2026-02-01 08:00:00,否,3\n"
    "乙二,2026-01,80,2026/2/3,2026-02-04T09:30:00,是,1\n"
    "丙三,2026-01,,,2026-02-01 08:00:00,false,\n"
)


def scan_as_plain(frame: pl.DataFrame) -> tuple[Finding, ...]:
    """Find nothing: for tests in which the scan itself is not the question."""
    return tuple(Finding(name, Role.PLAIN, 1) for name in frame.columns)


class CatalogKit:
    """The services, the people, and short ways through them."""

    def __init__(
        self, folder: Path, *, scanner: Scanner = scan_frame, max_upload_bytes: int = 10**9, city: str = "wuhan"
    ):
        self.folder = folder
        self.clock = FixedClock(MOMENT)
        self.database = Database(f"sqlite:///{folder}/records.db", self.clock)
        self.database.create_tables()
        self.policies = Policies(NoScopes())
        self.zone = RawZone(folder / "raw")
        self.aggregation = Aggregation(self.database, self.policies, self.zone, max_upload_bytes)
        self.service = CatalogService(
            self.database, self.policies, LawBook.load(city), self.zone, self.aggregation, scanner
        )
        self.provider = person("wang", "org_provider", "provider")
        self.other_provider = person("qian", "org_elsewhere", "provider")
        self.authority = person("chen", "org_authority", "authority")
        self.analyst = person("zhao", "org_operator", "analyst")
        self.auditor = person("zhou", "org_audit", "auditor")

    def file(self, name: str, content: str | bytes = ROWS, encoding: str = "utf-8") -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    def drafted(self, **changes: object) -> Entry:
        return self.service.draft_entry(self.provider, make_sheet(**changes))

    def submitted(self, sample: str = ROWS, **changes: object) -> Entry:
        entry = self.drafted(**changes)
        self.service.scan_sample(self.provider, entry.id, self.file("sample.csv", sample))
        return self.service.submit_entry(self.provider, entry.id)

    def published(self, sample: str = ROWS, **changes: object) -> Entry:
        entry = self.submitted(sample, **changes)
        return self.service.publish_entry(self.authority, entry.id, "complete and lawful")

    def received(self, entry: Entry, content: str | bytes = ROWS, mode: str = "full", name: str = "rows.csv") -> Batch:
        return self.service.receive_batch(self.provider, entry.id, self.file(name, content), BatchMode(mode))

    def ingested(self, entry: Entry, content: str | bytes = ROWS, mode: str = "full", name: str = "rows.csv") -> Batch:
        batch = self.received(entry, content, mode, name)
        self.service.run_ingest(batch.id)
        return self.aggregation.get_batch(self.provider, batch.id)

    def rows(self, entry: Entry) -> pl.DataFrame:
        return self.zone.scan(entry.id).collect()

    def tags(self) -> list[str]:
        return [event.tag for event in self.database.events_after(0)]

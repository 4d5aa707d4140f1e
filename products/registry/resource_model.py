"""A registered data resource (公共数据资源): an entry of the catalogue, as its holder describes it to the register.

Its evidence is the entry's description in canonical JSON with the hash of its newest batch: what was registered can be
told from what the catalogue says later.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from products.registry.model import Evidence
from products.registry.registration import (
    Application,
    Commitment,
    Registration,
    check_texts,
    make_registration,
)  # fmt: skip

RESOURCE = make_registration("resource")
DUTY_RULE = "registration.first_filing"


class Access(StrEnum):
    """How a resource can be had: openly, by authorized operation, or on application."""

    OPEN = "open"
    AUTHORIZED_OPERATION = "authorized_operation"
    APPLY = "apply"


@dataclass(frozen=True, slots=True)
class ResourceSheet:
    """What the holder says of a resource; the rest is the entry's own description."""

    title_zh: str
    title_en: str
    summary: str
    basis: str
    contact: str


@dataclass(frozen=True, slots=True)
class DataResource:
    """One data resource and its registration; `entry_version` is the version of the entry that is registered."""

    id: str
    entry: str
    entry_version: int
    provider: str
    author: str
    access: Access
    sheet: ResourceSheet
    evidence: Evidence
    created_at: dt.datetime
    registration: Registration = Registration.EVIDENCE
    code: str | None = None
    state_reason: str = ""
    application: Application | None = None
    commitment: Commitment | None = None
    applied_at: dt.datetime | None = None
    accepted_at: dt.datetime | None = None
    review_due: dt.date | None = None
    noticed_at: dt.datetime | None = None
    notice_due: dt.date | None = None
    notice_left: int = 0
    notice_text: str = ""
    due: dt.date | None = None
    provisional_due: bool = False
    coded_at: dt.datetime | None = None
    valid_until: dt.date | None = None
    reminded_on: dt.date | None = None
    superseded: tuple[Evidence, ...] = ()
    revision: int = 0

    @property
    def holder(self) -> str:
        """The organisation whose registration it is."""
        return self.provider

    def title(self, language: str) -> str:
        """Return the title in a language; any tag that starts with `zh` is Chinese."""
        return self.sheet.title_zh if language.startswith("zh") else self.sheet.title_en


@dataclass(frozen=True, slots=True)
class Duty:
    """An entry in the scope of an authorization that is not registered yet (W25 art. 23), and by when it has to be."""

    entry: str
    provider: str
    title_zh: str
    title_en: str
    due: dt.date | None
    provisional: bool = False


def check_resource_sheet(sheet: ResourceSheet) -> None:
    """Refuse a sheet that leaves a reader without an answer."""
    check_texts("the resource's sheet", sheet, "resource.sheet")

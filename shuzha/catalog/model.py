"""What the catalogue holds.

Words used here. An *entry* (目录条目) describes one dataset; its *sheet* is what the provider fills in. An *element*
(数据项) is one column. The *entity key* is the column that says whose data a row is; the *key columns* say which rows
are the same row. A *batch* is one delivery of rows into the raw zone, and its *receipt* says what came in, without
values. The core elements of a sheet are those of catalogue practice: class code, provider, abstract, format, sharing
type with condition and method, opening attribute, authorization attribute, update cycle.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from enum import StrEnum

from shuzha.catalog.value_domain import ValueDomain
from shuzha.core.lifecycle import Lifecycle, Move

_STRICT = {"extra": "forbid"}  # An API body with a misspelt field is refused, not read past.
MAX_GRADE = 4


class EntryState(StrEnum):
    """Where an entry stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    PUBLISHED = "published"
    CHANGE_PENDING = "change_pending"
    SUSPENDED = "suspended"
    RETIRED = "retired"


_S = EntryState
ENTRY = Lifecycle(
    "entry",
    EntryState,
    EntryState.DRAFT,
    [
        Move("submit", (_S.DRAFT, _S.RETURNED), _S.SUBMITTED, owner="authority", clock="entry.review"),
        Move("publish", (_S.SUBMITTED, _S.CHANGE_PENDING), _S.PUBLISHED, owner="provider"),
        Move("return", (_S.SUBMITTED,), _S.RETURNED, owner="provider"),
        Move("change", (_S.PUBLISHED,), _S.CHANGE_PENDING, owner="authority", clock="entry.review"),
        Move("return", (_S.CHANGE_PENDING,), _S.PUBLISHED, owner="provider"),
        Move("suspend", (_S.PUBLISHED, _S.CHANGE_PENDING), _S.SUSPENDED, owner="authority"),
        Move("restore", (_S.SUSPENDED,), _S.PUBLISHED, owner="provider"),
        Move("retire", (_S.PUBLISHED, _S.SUSPENDED, _S.RETURNED), _S.RETIRED),
    ],
)
EDITABLE = frozenset({EntryState.DRAFT, EntryState.RETURNED})
PUBLIC = frozenset({EntryState.PUBLISHED, EntryState.CHANGE_PENDING, EntryState.SUSPENDED, EntryState.RETIRED})
RECEIVING = frozenset({EntryState.PUBLISHED, EntryState.CHANGE_PENDING})


class ElementType(StrEnum):
    """What a column holds; `decimal` is exact with `scale` places, `number` a floating measurement."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    NUMBER = "number"
    DATE = "date"
    DATETIME = "datetime"
    BOOLEAN = "boolean"


class Role(StrEnum):
    """What a column can tell about somebody: names them, narrows them down, hurts them, may hold anything, nothing."""

    DIRECT = "direct"
    QUASI = "quasi"
    SENSITIVE = "sensitive"
    FREE_TEXT = "free_text"
    PLAIN = "plain"


class SubjectKind(StrEnum):
    """Whom the rows are about; `none` for data that can be traced to nobody's key."""

    PERSON = "person"
    ORGANISATION = "organisation"
    NONE = "none"


class UpdateCycle(StrEnum):
    """How often the provider promises new data: 实时 日 周 旬 月 季 年."""

    REAL_TIME = "real_time"
    DAILY = "daily"
    WEEKLY = "weekly"
    TEN_DAYS = "ten_days"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"


class TermsKind(StrEnum):
    """How data is shared or opened: without condition, on conditions, or not at all (which needs a legal basis)."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    NONE = "none"


class SharingMethod(StrEnum):
    """By which way data is supplied (W25 art. 8); an interface is preferred to a copy."""

    INTERFACE = "interface"
    PUSH = "push"
    FILE = "file"
    SYNC = "sync"


@dataclass(frozen=True, slots=True)
class Title:
    """A name in both languages."""

    __pydantic_config__ = _STRICT
    zh: str
    en: str

    def text(self, language: str) -> str:
        """Return the name in a language; any tag that starts with `zh` is Chinese."""
        return self.zh if language.startswith("zh") else self.en


@dataclass(frozen=True, slots=True)
class Element:
    """One column; `reason` says why its role or grade is milder than what the scan found, where it is.

    `domain` is needed for synthetic tables alone.
    """

    __pydantic_config__ = _STRICT
    name: str
    title: Title
    type: ElementType = ElementType.TEXT
    role: Role = Role.PLAIN
    grade: int = 1
    nullable: bool = True
    scale: int = 2
    reason: str = ""
    domain: ValueDomain | None = None


@dataclass(frozen=True, slots=True)
class Sharing:
    """The sharing type (共享类型) with its condition, legal basis and method."""

    __pydantic_config__ = _STRICT
    kind: TermsKind = TermsKind.CONDITIONAL
    condition: str = ""
    basis: str = ""
    method: SharingMethod = SharingMethod.INTERFACE


@dataclass(frozen=True, slots=True)
class Opening:
    """The opening attribute (开放属性) with its condition and legal basis."""

    __pydantic_config__ = _STRICT
    kind: TermsKind = TermsKind.NONE
    condition: str = ""
    basis: str = ""


@dataclass(frozen=True, slots=True)
class Authorizing:
    """The authorization attribute (授权属性): whether an operating unit may be authorized, and on what basis."""

    __pydantic_config__ = _STRICT
    allowed: bool = True
    basis: str = ""


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """The sheet of an entry: everything that its provider says about the dataset."""

    __pydantic_config__ = _STRICT
    code: str
    name: str
    title: Title
    abstract: str
    elements: tuple[Element, ...]
    classification: str = ""
    provider_code: str = ""
    format: str = "database table"
    subject_kind: SubjectKind = SubjectKind.NONE
    entity_key: str | None = None
    key_columns: tuple[str, ...] = ()
    update_marker: str | None = None
    update_cycle: UpdateCycle = UpdateCycle.MONTHLY
    sharing: Sharing = field(default_factory=Sharing)
    opening: Opening = field(default_factory=Opening)
    authorizing: Authorizing = field(default_factory=Authorizing)
    use_requirements: str = ""
    grade: int = 1
    secret: bool = False
    endangers_safety: bool = False
    related_codes: tuple[str, ...] = ()

    @property
    def highest_grade(self) -> int:
        """The grade that the elements ask for: the highest of them (就高从严)."""
        return max((element.grade for element in self.elements), default=1)

    def with_elements(self, elements: tuple[Element, ...]) -> EntryDraft:
        """Return the sheet with other elements, its grade raised to the highest of them."""
        sheet = replace(self, elements=elements)
        return replace(sheet, grade=max(sheet.grade, sheet.highest_grade))


@dataclass(frozen=True, slots=True)
class Finding:
    """What the scan found in one column of a sample: entity types and rates, never values."""

    element: str
    role: Role
    grade: int
    types: tuple[str, ...] = ()
    hit_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class ScanEvidence:
    """The scan of a sample that stands behind a submitted entry."""

    at: dt.datetime
    by: str
    rows: int
    findings: tuple[Finding, ...]

    def find(self, element: str) -> Finding | None:
        """Return the finding of a column, or None where the sample did not have it."""
        return next((finding for finding in self.findings if finding.element == element), None)


@dataclass(frozen=True, slots=True)
class Change:
    """A proposed next version of a published sheet, and why."""

    sheet: EntryDraft
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One dataset in the catalogue; `due` is the last day of the authority's review while one runs."""

    id: str
    code: str
    provider: str
    compiler: str
    sheet: EntryDraft
    state: EntryState
    created_at: dt.datetime
    updated_at: dt.datetime
    version: int = 0
    confirmed_grade: int | None = None
    grade_reason: str = ""
    decision: str = ""
    scan: ScanEvidence | None = None
    change: Change | None = None
    submitted_at: dt.datetime | None = None
    published_at: dt.datetime | None = None
    due: dt.date | None = None
    due_provisional: bool = False
    raw_version: int | None = None
    raw_rows: int | None = None
    revision: int = 0

    @property
    def name(self) -> str:
        """The short name by which notebooks call the dataset."""
        return self.sheet.name

    @property
    def title(self) -> Title:
        """The name that people read."""
        return self.sheet.title

    @property
    def elements(self) -> tuple[Element, ...]:
        """The columns."""
        return self.sheet.elements

    @property
    def entity_key(self) -> str | None:
        """The column that says whose data a row is; None where no row has a subject."""
        return self.sheet.entity_key

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns that make a row one row; empty where rows have no key."""
        return self.sheet.key_columns

    @property
    def subject_kind(self) -> SubjectKind:
        """Whom the rows are about."""
        return self.sheet.subject_kind

    @property
    def grade(self) -> int:
        """The grade that the authority confirmed, or the proposed one before it did."""
        return self.confirmed_grade or self.sheet.grade

    def find_element(self, name: str) -> Element | None:
        """Return the column of this name, or None."""
        return next((element for element in self.elements if element.name == name), None)


class BatchState(StrEnum):
    """Where a batch stands."""

    RECEIVED = "received"
    INGESTING = "ingesting"
    INGESTED = "ingested"
    REFUSED = "refused"


BATCH = Lifecycle(
    "batch",
    BatchState,
    BatchState.RECEIVED,
    [
        Move("ingest", (BatchState.RECEIVED,), BatchState.INGESTING, owner="platform"),
        Move("ingest", (BatchState.INGESTING,), BatchState.INGESTED),
        Move("refuse", (BatchState.RECEIVED, BatchState.INGESTING), BatchState.REFUSED, owner="provider"),
    ],
)


class BatchMode(StrEnum):
    """How a batch meets what is there: replaces all of it, adds to it, or replaces rows of equal key."""

    FULL = "full"
    APPEND = "append"
    MERGE = "merge"


@dataclass(frozen=True, slots=True)
class ColumnQuality:
    """The quality figures of one column: counts and lengths, never values. `distinct` is an estimate."""

    name: str
    nulls: int
    distinct: int
    min_length: int | None = None
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came in: `rows` of the file, `superseded` older rows of a merge dropped, `table_rows` after the commit."""

    rows: int
    superseded: int
    table_rows: int
    columns: tuple[str, ...]
    sha256: str
    delta_version: int
    quality: tuple[ColumnQuality, ...]
    received_at: dt.datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a batch was refused, in the words of the error."""

    message: str
    code: str
    rule: str | None = None
    accepted: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One delivery of rows for one entry."""

    id: str
    entry: str
    provider: str
    mode: BatchMode
    state: BatchState
    file_name: str
    size: int
    sha256: str
    received_by: str
    received_at: dt.datetime
    receipt: Receipt | None = None
    refusal: Refusal | None = None
    revision: int = 0

"""An import request: its lifecycle, its record, and what makes one fit. Pure: no SQL, HTTP, files.

Words: an *own file* (自有文件) is what a unit brings into one workspace; its *key* is the one column by which it joins
a release, made of the release's pseudonyms before it enters; a finding is *closed* when only reviewers of another
organisation see it, because it says something of who is in the release.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sandbox.airlock.findings import Finding
from sandbox.workspaces.own_files import check_own_name
from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move

MOST_TEXT: Final = 2_000


class ImportState(StrEnum):
    """Where an import request stands."""

    RECEIVED = "received"
    DRAFT = "draft"
    SUBMITTED = "submitted"
    SCREENED = "screened"
    APPROVED = "approved"
    IMPORTED = "imported"
    REFUSED = "refused"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    REMOVED = "removed"


_S = ImportState
UNDECIDED: Final = (_S.RECEIVED, _S.DRAFT, _S.SUBMITTED, _S.SCREENED, _S.APPROVED)
LIVING: Final = frozenset({*UNDECIDED, _S.IMPORTED})
"""The states that take a name in the workspace and a place in the quota."""

IMPORT: Lifecycle[ImportState] = Lifecycle(
    "import",
    ImportState,
    _S.RECEIVED,
    (
        Move("read", (_S.RECEIVED,), _S.DRAFT, "analyst"),
        Move("refuse", (_S.RECEIVED,), _S.REFUSED),
        Move("submit", (_S.DRAFT,), _S.SUBMITTED, "platform"),
        Move("screen", (_S.SUBMITTED,), _S.SCREENED, "checker", clock="import.review"),
        Move("return", (_S.SUBMITTED, _S.SCREENED, _S.APPROVED), _S.DRAFT, "analyst"),
        Move("approve", (_S.SCREENED,), _S.APPROVED, "platform"),
        Move("reject", (_S.SCREENED,), _S.REJECTED),
        Move("admit", (_S.APPROVED,), _S.IMPORTED, "analyst"),
        Move("withdraw", UNDECIDED, _S.WITHDRAWN),
        Move("remove", (_S.IMPORTED,), _S.REMOVED),
    ),
)


class Use(StrEnum):
    """What becomes of a column: it enters as it is, it is left out, or it is the key that joins."""

    KEEP = "keep"
    DROP = "drop"
    KEY = "key"


class Origin(StrEnum):
    """Where the file comes from: the unit's own business, a licence or purchase, or open to anybody."""

    OWN = "own"
    LICENSED = "licensed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class ImportColumn:
    """One column of the file: its type, what the scan says of it, and what becomes of it.

    `found` are the kinds of identifiers; `hit_rate` the share of filled cells that are the first of them.
    """

    name: str
    type: str
    role: str
    grade: int
    found: tuple[str, ...] = ()
    hit_rate: float = 0.0
    distinct: int = 0
    nulls: int = 0
    free_text: bool = False
    use: Use = Use.KEEP

    @property
    def names_somebody(self) -> bool:
        """Whether the column is, or holds, what identifies a person or organisation directly."""
        return self.role == "direct"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a request, for its page; the audit log has the whole of it."""

    verb: str
    by: str
    at: dt.datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the applicant says of a file that was read: its name inside, what for, from where, what of each column.

    `key` is the file's column that joins and `joins` the release's column that it joins; both empty for no join. What
    is in neither `key` nor `keep` is left out.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic from a dataclass
    name: str
    purpose: str
    origin: Origin
    statement: str
    keep: tuple[str, ...]
    key: str = ""
    joins: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """The parameters of the authority: how much may enter, and how few people a key may be traced to."""

    bytes: int = 16 * 1024**2
    rows: int = 200_000
    columns: int = 64
    cell_letters: int = 1_000
    files: int = 20
    total_bytes: int = 256 * 1024**2
    uploads_a_day: int = 50
    submissions_a_day: int = 10
    least_keys: int = 100
    most_keys: int = 50_000
    least_class: int = 10


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """One import request: whose file it is, what it holds, what for, and what was decided.

    `sha256` and `size` are of the file as it came; `parsed` is the address of the table read from it, kept until it is
    decided, and `outcome` of what may enter, kept while the workspace lives. `keys` counts the key column's values;
    `closed` findings are for reviewers of another organisation alone.
    """

    id: str
    workspace: str
    workspace_name: str
    author: str
    organisation: str
    authorization: str
    demand: str
    grant: str
    entry: str
    provider: str
    file_name: str
    size: int
    sha256: str
    state: ImportState
    created_at: dt.datetime
    name: str = ""
    purpose: str = ""
    origin: str = ""
    statement: str = ""
    kind: str = ""
    columns: tuple[ImportColumn, ...] = ()
    rows: int = 0
    formulas: int = 0
    key: str = ""
    joins: str = ""
    keys: int = 0
    release: str = ""
    parsed: str = ""
    outcome: str = ""
    findings: tuple[Finding, ...] = ()
    closed: tuple[Finding, ...] = ()
    steps: tuple[Step, ...] = ()
    due: dt.date | None = None
    due_provisional: bool = False
    reason: str = ""
    revision: int = 1

    @property
    def kept(self) -> tuple[str, ...]:
        """The columns that enter as they are."""
        return tuple(column.name for column in self.columns if column.use is Use.KEEP)

    def find_column(self, name: str) -> ImportColumn | None:
        """Return the column of this name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def entering(self) -> tuple[str, ...]:
        """Return the columns that a notebook sees: the key under the name of what it joins, then what is kept."""
        return ((self.joins, *self.kept) if self.key else self.kept) if self.name else ()


def check_wanted(request: ImportRequest, wanted: Wanted, joinable: Iterable[str], taken: Iterable[str]) -> None:
    """Refuse what leaves out why and from where, columns that the file has not, a name that is taken, half a join.

    `joinable` are the pseudonymized columns of the workspace's releases, `taken` the names that it knows already.
    """
    for field, meaning in (("purpose", "what the file is for"), ("statement", _STATEMENTS[Origin(wanted.origin)])):
        text = str(getattr(wanted, field))
        if not text.strip() or len(text) > MOST_TEXT:
            raise Invalid(
                f"the import request leaves `{field}` empty, or writes more than a page", rule=f"own.{field}",
                accepted=f"{meaning}, in 1 to {MOST_TEXT} characters",
            )  # fmt: skip
    if check_own_name(wanted.name) in set(taken):
        raise Invalid(f"the workspace has a table named `{wanted.name}`", rule="own.name", accepted="another name")
    _check_columns(request, wanted, tuple(joinable))


def _check_columns(request: ImportRequest, wanted: Wanted, joinable: tuple[str, ...]) -> None:
    known = tuple(column.name for column in request.columns)
    chosen = (*wanted.keep, *((wanted.key,) if wanted.key else ()))
    if any(name not in known for name in chosen) or len(set(chosen)) != len(chosen):
        raise Invalid(
            "the import request names a column that the file has not, or has one twice", rule="own.columns",
            accepted=", ".join(known),
        )  # fmt: skip
    if not chosen:
        raise Invalid("no column of the file is to enter", rule="own.columns", accepted="one of " + ", ".join(known))
    if bool(wanted.key) != bool(wanted.joins):
        raise Invalid(
            "a join needs the file's column and the release's",
            rule="own.key",
            accepted=", ".join(joinable) or "no join",
        )
    if wanted.joins and wanted.joins not in joinable:
        raise Invalid(
            "the workspace has no pseudonymized column of this name to join", rule="own.key",
            accepted=", ".join(joinable) or "no join: drop the column",
        )  # fmt: skip
    if wanted.key and wanted.joins in wanted.keep:
        raise Invalid(
            f"the key enters as `{wanted.joins}`, and another column has this name", rule="own.columns",
            accepted="a file whose other columns are named otherwise",
        )  # fmt: skip


_STATEMENTS: Mapping[Origin, str] = {
    Origin.OWN: "on what basis the unit holds the file, and on whose consent where it is about persons",
    Origin.LICENSED: "from whom, under which licence or contract, and what it allows",
    Origin.OPEN: "where it is published, and under which terms",
}


def use_columns(request: ImportRequest, wanted: Wanted) -> tuple[ImportColumn, ...]:
    """Return the columns with what becomes of each."""

    def use(name: str) -> Use:
        return Use.KEY if name == wanted.key else Use.KEEP if name in wanted.keep else Use.DROP

    return tuple(replace(column, use=use(column.name)) for column in request.columns)


def check_reason(reason: str) -> str:
    """Return the reason, trimmed; refuse a decision without one, and one of more than 2,000 characters."""
    if not reason.strip() or len(reason) > MOST_TEXT:
        raise Invalid("a decision without a reason", rule="decision.reason", accepted=f"1 to {MOST_TEXT} characters")
    return reason.strip()


def as_seen_by(request: ImportRequest, organisation: str) -> ImportRequest:
    """Return the request as a person of this organisation may see it: its own unit without the closed findings."""
    return replace(request, closed=()) if organisation == request.organisation else request

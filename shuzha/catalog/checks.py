"""Whether a sheet is fit: `check_*` raise `Invalid` naming the entry, the rule and what would be accepted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from shuzha.catalog.domains import read_domain
from shuzha.catalog.model import (
    ENTRY,
    MAX_GRADE,
    RECEIVING,
    BatchMode,
    Element,
    ElementType,
    Entry,
    EntryDraft,
    Role,
    ScanEvidence,
    SubjectKind,
    TermsKind,
)
from shuzha.core.errors import Invalid, ShuzhaError, TransitionNotAllowed

_CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z/._-]{2,63}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_COLUMN = re.compile(r"\w[\w.\-]{0,63}")
_CLASS = re.compile(r"\d(\d{2}(\d{3}\d*)?)?")
_MARKERS = frozenset({ElementType.INTEGER, ElementType.DATE, ElementType.DATETIME})
_KEY_TYPES = frozenset(ElementType) - {ElementType.NUMBER, ElementType.BOOLEAN}


def check_draft(sheet: EntryDraft) -> None:
    """Refuse a sheet that cannot even be kept: a secret, a malformed code or name, elements or keys that do not fit."""
    check_not_secret(sheet)
    _require(
        bool(_CODE.fullmatch(sheet.code)),
        sheet,
        "its code is malformed",
        "entry.code",
        "3 to 64 letters, digits, `/ . _ -`",
    )
    _require(
        bool(_NAME.fullmatch(sheet.name)), sheet, "its name is malformed", "entry.name",
        "a lower-case letter, then letters, digits and `_`: notebooks call the dataset by it",
    )  # fmt: skip
    check_elements(sheet)
    check_keys(sheet)


def check_not_secret(sheet: EntryDraft) -> None:
    """Refuse a sheet flagged as a state secret: such data is outside of this platform (W21 art. 2, W25 art. 2)."""
    _require(not sheet.secret, sheet, "it is flagged as a state secret", "W21 art. 2", "data that is no state secret")


def check_elements(sheet: EntryDraft) -> None:
    """Refuse no elements, two of one name (case does not count), malformed names, unknown grades or scales."""
    _require(bool(sheet.elements), sheet, "it has no elements", "entry.elements", "at least one element")
    twice = [
        name for name, count in Counter(element.name.casefold() for element in sheet.elements).items() if count > 1
    ]
    _require(not twice, sheet, f"element `{''.join(twice[:1])}` stands there twice", "entry.elements", "each name once")
    for element in sheet.elements:
        _check_element(sheet, element)
        if element.domain is not None:
            read_domain(element, element.domain)


def _check_element(sheet: EntryDraft, element: Element) -> None:
    _require(
        is_column_name(element.name), sheet, f"element name `{element.name[:64]}` is malformed", "element.name",
        "1 to 64 letters, digits, `_ . -`, no blanks",
    )  # fmt: skip
    _require(
        1 <= element.grade <= MAX_GRADE, sheet, f"element `{element.name}` has grade {element.grade}", "element.grade",
        f"1 to {MAX_GRADE}; core and important data are outside",
    )  # fmt: skip
    _require(
        0 <= element.scale <= 12,
        sheet,
        f"element `{element.name}` has scale {element.scale}",
        "element.scale",
        "0 to 12",
    )


def check_keys(sheet: EntryDraft) -> None:
    """Refuse keys and an update marker that name no element, or one of a type that cannot serve."""
    by_name = {element.name: element for element in sheet.elements}
    keys = [*sheet.key_columns, *([sheet.entity_key] if sheet.entity_key else [])]
    for name in keys:
        _require(name in by_name, sheet, f"its key `{name}` is no element", "entry.keys", ", ".join(by_name))
        kind = by_name[name].type
        accepted = ", ".join(sorted(_KEY_TYPES))
        _require(kind in _KEY_TYPES, sheet, f"its key `{name}` is a {kind}", "entry.keys", accepted)
    _require(
        len(set(sheet.key_columns)) == len(sheet.key_columns),
        sheet,
        "a key column stands there twice",
        "entry.keys",
        "each once",
    )
    marker = sheet.update_marker
    if marker is not None:
        fits = marker in by_name and by_name[marker].type in _MARKERS
        accepted = f"an element of type {', '.join(sorted(_MARKERS))}"
        _require(fits, sheet, f"its update marker `{marker}` cannot order rows", "W25 art. 16", accepted)
    has_subject = sheet.subject_kind is not SubjectKind.NONE
    _require(
        bool(sheet.entity_key) == has_subject, sheet, "entity key and subject kind do not agree", "entry.entity_key",
        "both, or neither where no row is about somebody",
    )  # fmt: skip


def check_complete(sheet: EntryDraft, scan: ScanEvidence | None) -> None:
    """Refuse to submit a sheet that leaves a core element open, or without a scan that it answers."""
    check_draft(sheet)
    for name, text in (("title (zh)", sheet.title.zh), ("title (en)", sheet.title.en), ("abstract", sheet.abstract)):
        _require(bool(text.strip()), sheet, f"its {name} is empty", "entry.complete", f"a {name}")
    _require(
        bool(_CLASS.fullmatch(sheet.classification)), sheet, "its class code is missing or malformed",
        "entry.classification", "1 digit 类, 2 more 项, 3 more 目, any more 细目",
    )  # fmt: skip
    for element in sheet.elements:
        titled = bool(element.title.zh.strip() and element.title.en.strip())
        _require(
            titled, sheet, f"element `{element.name}` lacks a title", "entry.complete", "a title in both languages"
        )
    check_terms(sheet)
    check_grade(sheet, sheet.grade)
    check_scan(sheet, scan)


def check_terms(sheet: EntryDraft) -> None:
    """Refuse conditional terms without a condition and closed terms without a legal basis (W21 art. 16, 20)."""
    for word, rule, terms in (("sharing", "W21 art. 16", sheet.sharing), ("opening", "W21 art. 20", sheet.opening)):
        if terms.kind is TermsKind.CONDITIONAL:
            _require(
                bool(terms.condition.strip()),
                sheet,
                f"its {word} is conditional without a condition",
                rule,
                "the condition",
            )
        if terms.kind is TermsKind.NONE:
            _require(
                bool(terms.basis.strip()),
                sheet,
                f"it has no {word} and names no legal basis",
                rule,
                "the law that forbids it",
            )
    closed = sheet.authorizing.allowed or bool(sheet.authorizing.basis.strip())
    _require(
        closed, sheet, "it may not be authorized and names no legal basis", "W25 art. 13", "the law that forbids it"
    )


def check_grade(sheet: EntryDraft, grade: int) -> None:
    """Refuse a grade below that of the highest element (就高从严), or one that does not exist."""
    accepted = f"{sheet.highest_grade} to {MAX_GRADE}"
    _require(
        sheet.highest_grade <= grade <= MAX_GRADE,
        sheet,
        f"grade {grade} does not cover its elements",
        "entry.grade",
        accepted,
    )


def check_scan(sheet: EntryDraft, scan: ScanEvidence | None) -> None:
    """Refuse a sheet without a scan of all its elements, or one milder than the scan without a reason."""
    if scan is None:
        raise _refusal(sheet, "no sample of it was scanned", "entry.scan", "scan a sample first")
    for element in sheet.elements:
        found = scan.find(element.name)
        if found is None:
            raise _refusal(
                sheet, f"the scanned sample lacks `{element.name}`", "entry.scan", "a sample with every element"
            )
        milder = element.grade < found.grade or (found.role is not Role.PLAIN and element.role is Role.PLAIN)
        _require(
            not milder or bool(element.reason.strip()), sheet,
            f"element `{element.name}` is milder than its scan ({found.role}, grade {found.grade})", "entry.scan",
            "what the scan proposes, or the element's reason",
        )  # fmt: skip


def check_receiving(entry: Entry, mode: BatchMode) -> None:
    """Refuse a batch for an entry that is not published, and a merge without key columns."""
    if entry.state not in RECEIVING:
        raise TransitionNotAllowed(
            f"cannot receive a batch for entry {entry.code}: it is {entry.state}",
            rule="batch.receive", accepted="a published entry",
        )  # fmt: skip
    if mode is BatchMode.MERGE and not entry.key_columns:
        raise Invalid(
            f"cannot merge into entry {entry.code}: it has no key columns",
            rule="W25 art. 16",
            accepted="full or append",
        )


def is_column_name(name: str) -> bool:
    """Return whether an element can bear this name."""
    return bool(_COLUMN.fullmatch(name))


def check_reason(reason: str, thing: str) -> None:
    """Refuse a decision without a reason."""
    if not reason.strip():
        raise Invalid(f"cannot decide on {thing} without a reason", rule="decision.reason", accepted="one sentence why")


def can_submit(entry: Entry) -> bool:
    """Return whether the entry's state and sheet allow it to be submitted."""
    return ENTRY.can(entry.state, "submit") and _passes(lambda: check_complete(entry.sheet, entry.scan))


def _passes(check: Callable[[], None]) -> bool:
    try:
        check()
    except ShuzhaError:
        return False
    return True


def _require(holds: bool, sheet: EntryDraft, what: str, rule: str, accepted: str) -> None:
    if not holds:
        raise _refusal(sheet, what, rule, accepted)


def _refusal(sheet: EntryDraft, what: str, rule: str, accepted: str) -> Invalid:
    return Invalid(f"entry {sheet.code[:64]}: {what}", rule=rule, accepted=accepted)

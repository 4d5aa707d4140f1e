"""Every message id that a page can show: what translators have to translate, and what a test holds them to."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import fields
from enum import StrEnum
from pathlib import Path

from desensitize.risk.measures import Risk
from desensitize.transform.techniques import NAMES
from policies.roles import PERSONAL_ROLES
from products.consumers.app_model import APP
from products.consumers.model import KEY, KeyUse
from products.consumers.webhook_model import WEBHOOK, DeliveryState, NoticeType
from products.registry.case_model import CASE, CaseKind
from products.registry.codes import ProductKind
from products.registry.model import PRODUCT, REGISTRATION
from products.registry.registration import Outcome
from products.registry.resource_model import RESOURCE, Access
from sandbox.airlock.findings import Severity, Verdict
from sandbox.airlock.model import EXPORT, Choice
from sandbox.airlock.rules import NOTES
from sandbox.airlock.ways import WAYS
from sandbox.inbound.model import IMPORT
from sandbox.inbound.screening import ACCEPTED as OWN_FILE_ACCEPTED
from sandbox.inbound.screening import RULES as OWN_FILE_RULES
from sandbox.workspaces.clean_room.run import RunState
from sandbox.workspaces.host.disks import NEEDS_ROOT
from sandbox.workspaces.host.limits import CgroupHost
from sandbox.workspaces.jailer.books import FROZEN, HELD, IMAGES
from sandbox.workspaces.model import WORKSPACE
from shuzha.authorization.agreement import Operation, OutputKind
from shuzha.authorization.announcement import ANNOUNCEMENT, USUAL_CRITERIA, Mode
from shuzha.authorization.assessment import ASSESSMENT
from shuzha.authorization.model import AUTHORIZATION, DEMAND, GRANT
from shuzha.catalog.model import (
    BATCH,
    ENTRY,
    BatchMode,
    ElementType,
    Role,
    SharingMethod,
    SubjectKind,
    TermsKind,
    UpdateCycle,
)  # fmt: skip
from shuzha.core.lifecycle import Lifecycle
from shuzha.exits.model import EXIT, Cause
from shuzha.oversight import trace, walks
from shuzha.oversight.model import ALERT, REQUIREMENT, AlertKind, Lack, OrderKind, OrderVerb
from shuzha.people.model import ACCOUNT, OrganisationKind
from shuzha.people.staff import TRAINING
from shuzha.portal.awaiting import AUTHORITY_TURN
from shuzha.portal.desk import word
from shuzha.portal.exits import GONE, WAITING
from shuzha.portal.finding_words import PLACE_WORDS
from shuzha.portal.holds import ALL as HOLD_WORDS
from shuzha.portal.i18n import words_of
from shuzha.portal.imports import ORIGINS
from shuzha.portal.labels import ALL as LABELS
from shuzha.portal.oversight import TRACED
from shuzha.portal.people import ALL as PEOPLE_WORDS
from shuzha.portal.policy_words import ALL as POLICY_WORDS
from shuzha.portal.purposes import USUAL as PURPOSES
from shuzha.portal.refused import ALL as REFUSED_WORDS
from shuzha.portal.registering_words import ALL as REGISTERING_WORDS
from shuzha.portal.supervision import ALL as SUPERVISION_WORDS
from shuzha.portal.tasks import LINKS
from shuzha.portal.workspaces import ENDS, LIMIT_WORDS
from shuzha.releases.model import NOT_MEASURED, NOT_PROMISED, RELEASE, SYNTHETIC_NOT_PROMISED
from shuzha.settlement.model import CARRIED, INFRASTRUCTURE, PARTIES, STATEMENT, TAX, Waiver
from shuzha.settlement.plans import STEPS, TYPES

LIFECYCLES: tuple[Lifecycle[StrEnum], ...] = (
    ENTRY, BATCH, ANNOUNCEMENT, AUTHORIZATION, ASSESSMENT, DEMAND, GRANT, RELEASE, WORKSPACE, IMPORT, EXPORT,
    REGISTRATION, RESOURCE, CASE, PRODUCT, APP, KEY, WEBHOOK, ACCOUNT, EXIT, TRAINING,
    STATEMENT, ALERT, REQUIREMENT,
)  # type: ignore[assignment]  # fmt: skip
WORDS: tuple[type[StrEnum], ...] = (
    Severity, Verdict, Choice, RunState, ProductKind, Operation, OutputKind, BatchMode, ElementType, Role,
    SharingMethod, SubjectKind, TermsKind, UpdateCycle, OrganisationKind, Mode, Cause, Outcome, KeyUse,
    CaseKind, Access, DeliveryState, NoticeType, AlertKind, OrderKind, OrderVerb, Lack,
)  # fmt: skip
# Words that pages show and no table of the house holds: forms of output, ways of the audit log, verbs of pages.
LOOSE = (
    "table", "figure", "portal", "api", "socket", "job", "cli", "record", "file", "workspace", "platform", "deposit",
    "deliver", "edit", "vote", "settle", "create", "release", "price", "usage log", "audit log", "database",
    "attach", "remove", "lift", "identify", "appoint", "every link holds", "a link does not hold", "other",
    "home", "scenario key", "index", "consumer key", "later charge", "held back", "given out",
    "set", "receive", "raise", "order", "app", "key", "yes", "NO", "first", "last",
    "cosigned", *GONE, *WAITING,
)  # fmt: skip
_FOLDER = Path(__file__).parent
_TEMPLATE = (
    re.compile(r'\bt\(\s*"((?:[^"\\]|\\.)*)"'),
    re.compile(r"\bt\(\s*'((?:[^'\\]|\\.)*)'"),
    re.compile(r'tag\(t, "([^"]+)"'),
)
_SOURCE = (
    re.compile(r'\.t\(\s*"((?:[^"\\]|\\.)*)"'),
    re.compile(r'Verb\("[a-z]+", "([^"]+)"'),
    re.compile(r'NavItem\(\s*"[^"]+",\s*"([^"]+)"'),
    re.compile(r'_task\(\s*"([^"]+)"'),
    re.compile(r'return "([A-Z][^"]+)", product'),
    re.compile(r'return \{"refusal": "([A-Z][^"]+)"\}'),
    re.compile(r'_exits\(actor, ExitState\.\w+, "([^"]+)"'),
    re.compile(r'_demands\(actor, DemandState\.\w+, "([^"]+)"'),
    re.compile(r'EntryState\.\w+: "([^"]+)"'),
    re.compile(r'RequirementState\.\w+: "([^"]+)"'),
    re.compile(r'^\s+\("(By [a-z ]+)", _rows', re.MULTILINE),
    re.compile(r'AssessmentState\.[A-Z]+: "([^"]+)"'),
    re.compile(r'"(?:review|mine|all|fared|rules)": "([^"]+)"'),
    re.compile(r'Choice\.[A-Z]+, "([^"]+)"'),
    re.compile(r'\b40[0-9]: "([^"]+)"'),
)
_CHECKED = re.compile(r'"((?:the|its|both) [a-z][^"]+)"')
_HASHES = (
    "request", "leaf", "root", "commitment", "digest", "evidence", "output", "record", "submitted", "executed",
    "environment", "certificate", "data", "scope", "agreement", "file", "receipt",
)  # fmt: skip
_MAPPED = re.compile(r'\{("[a-z]+": "[^"]+"(?:, "[a-z]+": "[^"]+")*)\}\[')


def message_ids() -> frozenset[str]:
    """Return every message id of templates, page sources, lifecycles and enumerations."""
    return frozenset(each for each in _all() if each.strip())


def untranslated(language: str) -> tuple[str, ...]:
    """Return the message ids that a language's catalogue does not have, sorted."""
    return tuple(sorted(message_ids() - words_of(language).keys()))


def _all() -> Iterator[str]:
    for file in sorted((_FOLDER / "templates").glob("*.html")):
        text = file.read_text("utf-8")
        yield from _found(_TEMPLATE, text)
        for mapped in _MAPPED.findall(text):
            yield from (text for text in re.findall(r': "([^"]+)"', mapped) if text[0].isupper())
    for file in sorted(_FOLDER.glob("*.py")):
        if file.name != "messages.py":
            yield from _found(_SOURCE, file.read_text("utf-8"))
    for source in (trace.__file__, walks.__file__):
        yield from _CHECKED.findall(Path(source).read_text("utf-8"))
    yield from (word(name) for name in _HASHES)
    yield from TRACED.values()
    for lifecycle in LIFECYCLES:
        yield from map(word, lifecycle.states)
        yield from (word(move.verb) for move in lifecycle.moves)
    for words in WORDS:
        yield from map(word, words)
    yield from (word(field.name) for field in fields(Risk))
    yield from map(word, (*STEPS, *TYPES, TAX, CARRIED, *(waiver for waiver in Waiver if waiver)))
    yield from (word(name) for name in (*PERSONAL_ROLES, *PARTIES, INFRASTRUCTURE, *NAMES, *LOOSE))
    yield from (*NOT_PROMISED, *SYNTHETIC_NOT_PROMISED, NOT_MEASURED, *_cannot())
    yield from (*HELD.values(), FROZEN, IMAGES, NEEDS_ROOT, *LIMIT_WORDS.values(), *ENDS)
    yield from (note.meaning for note in NOTES)
    yield from (*WAYS.values(), *PLACE_WORDS)
    yield from (*LABELS, *POLICY_WORDS, *HOLD_WORDS, *PEOPLE_WORDS, *(each.name for each in USUAL_CRITERIA))
    yield from (*SUPERVISION_WORDS, *REFUSED_WORDS, *PURPOSES.values())
    yield from (*OWN_FILE_RULES.values(), *OWN_FILE_ACCEPTED.values(), *ORIGINS.values())
    yield from AUTHORITY_TURN.values()
    yield from REGISTERING_WORDS
    yield from (label for links in LINKS.values() for _, label in links)


def _cannot() -> tuple[str, ...]:
    """Return every sentence about what a host can lack: what it says of a place without control groups."""
    with tempfile.TemporaryDirectory() as nowhere:
        return CgroupHost.detect(Path(nowhere)).cannot


def _found(patterns: Iterable[re.Pattern[str]], text: str) -> Iterator[str]:
    for pattern in patterns:
        for match in pattern.finditer(text):
            yield next(group for group in match.groups() if group is not None).replace('\\"', '"').replace("\\'", "'")

"""Decisions in the reader's words: what may be done, why not, on which clause, and what would have to change.

Every sentence is chosen by a decision's stable `code`; the values in it are of the grant and of the question.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from policies.explain import ExplainedLine, Explanation, Part
from policies.scopecheck import ATTRIBUTES
from shuzha.authorization.agreement import Agreement
from shuzha.core.clock import CITY_ZONE
from shuzha.portal.desk import word
from shuzha.portal.i18n import Speech

ACTS: Mapping[str, str] = {
    "data:view": "See that the data is there", "data:release": "Have a desensitized release made",
    "data:open": "Use the data in a workspace", "data:join": "Join the data with other data",
    "data:export": "Take a result out of a workspace", "data:index": "Build the index of a product",
    "data:serve": "Call a product by the consumer API",
}  # fmt: skip
NAMES: Mapping[str, str] = {
    "holder": "Organisation", "entry": "Entry", "deed": "Kind of use", "place": "Place",
    "output_kind": "Form of product", "operation": "Operation", "purpose": "Purpose", "partners": "Joined with",
    "columns": "Columns", "term": "Term",
    "hours": "Hours", "operations": "Operations", "output_kinds": "Forms of product", "purposes": "Purposes",
    "places": "Places",
}  # fmt: skip
WORDS: Mapping[str, str] = {
    "use": "use in a place", "export": "out of a workspace", "serve": "serving", "own-file": "an own file",
    "workspace": "Inside a workspace", "api": "Behind the consumer API",
}  # fmt: skip
REASONS: Mapping[str, str] = {
    "allowed": "It lies within the grant.",
    "gone": "Nothing of the grant would be left.",
    "fault": "The question could not be decided, and doubt is a refusal.",
    "moment": "The question has a moment without a time zone.",
    "permission.unknown": "There is no such permission.",
    "role.missing": "Nobody with these roles may do this, whatever the grant says.",
    "roles.separation": "The person holds two roles that no one person may hold.",
    "relation": "The role may do this, though not with a thing of another organisation.",
    "scope.unknown": "There is no such grant.",
    "scope.inactive": "The grant is not in force.",
    "scope.authorization": "The grant belongs to another authorization.",
    "scope.holder": "The grant was given to another organisation.",
    "scope.not_yet": "The term of the grant has not begun.",
    "scope.expired": "The term of the grant is over.",
    "scope.entry": "The grant is for another entry.",
    "scope.deed": "The grant allows nothing of this kind.",
    "scope.hours": "The moment lies outside the grant's hours.",
    "missing": "The question does not say: {name}.",
    "outside": "{name}: what is asked lies outside the grant, which has: {granted}.",
}  # fmt: skip
CHANGES: Mapping[str, str] = {
    "role": "Somebody with one of these roles would have to do it: {roles}.",
    "separate": "One of the two roles would have to go to somebody else.",
    "owner": "Somebody of the organisation that the grant was given to would have to do it: {holder}.",
    "standing": "What keeps the grant from being used would have to be lifted: {reason}.",
    "say": "Say it in the question: {name}.",
    "wait": "Nothing: it may be done from {moment} on.",
    "renew": "The authorization would have to be renewed, or a new scenario demand be granted within its term.",
    "again": "A new scenario demand that asks for it would have to be granted; the agreement holds it: {name} {extra}.",
    "agree": "The agreement would have to hold it first ({clause}): {name} {extra}. Then a new scenario demand.",
    "demand": "A new scenario demand that asks for it would have to be granted: {name} {extra}.",
    "hours": "Do it within the hours, or have a demand with other hours granted: {granted}.",
}  # fmt: skip
CITED: Mapping[str, str] = {
    "the scenario demand": "the scenario demand", "the parties of the agreement": "the parties of the agreement",
}  # fmt: skip
FORMS = (
    "clause {number}",
    "{hours} on working days",
    "{hours} on every day",
    "{start} to {end}",
    "from {moment}",
    "until {moment}",
)
ALL = (
    *ACTS.values(), *NAMES.values(), *WORDS.values(), *REASONS.values(), *CHANGES.values(), *CITED.values(), *FORMS,
)  # fmt: skip
_AGREED = {"operation": "operations", "output_kind": "output_kinds", "purpose": "purposes"}
_CLAUSE = re.compile(r"clause (\S+)")
_CLAUSE_TEXT = re.compile(r"clause (\S+) \((.+)\): (.*)")
_EDGE = re.compile(r"(from|until) (\S+T\S+)")
_HOURS = re.compile(r"(\S+) on (working days|every day)")


@dataclass(frozen=True, slots=True)
class Told:
    """One part of a policy line beside the question, in the reader's words."""

    name: str
    asked: str
    granted: str
    holds: bool
    cited: str


@dataclass(frozen=True, slots=True)
class Words:
    """Says decisions in one language; `titles` are the names of entries and organisations by id."""

    speech: Speech
    titles: Mapping[str, str]

    def reason(self, found: Explanation) -> str:
        """Return why, in a sentence."""
        return self.said(found.decision.code, _granted(found))

    def said(self, code: str, granted: Iterable[str] = ()) -> str:
        """Return the sentence of a code; `granted` are the values that the grant has where one lies outside."""
        t = self.speech.t
        if code in REASONS:
            return t(REASONS[code])
        if code.startswith("relation."):
            return t(REASONS["relation"])
        name = code.removeprefix("scope.").removesuffix(".missing")
        if code.endswith(".missing"):
            return t(REASONS["missing"], name=self.name(name))
        return t(REASONS["outside"], name=self.name(name), granted=self.values(granted))

    def changes(self, found: Explanation, agreement: Agreement, roles: Iterable[str]) -> list[str]:
        """Return what would have to change so that the answer is yes; nothing where it is."""
        decision, t = found.decision, self.speech.t
        if decision.allowed:
            return []
        if decision.code in ("role.missing", "permission.unknown"):
            named = t(", ").join(t(word(each)) for each in roles)
            return [t(CHANGES["role"], roles=named or "—")]
        if decision.code == "roles.separation":
            return [t(CHANGES["separate"])]
        if decision.code.startswith("relation.") or not found.lines:
            holder = next((part.granted[0] for line in found.lines for part in line.parts if part.name == "holder"), "")
            return [t(CHANGES["owner"], holder=self.title(holder) if holder else "—")]
        said = [t(CHANGES["standing"], reason=found.standing)] if found.standing else []
        said += [t(CHANGES["say"], name=self.name(each)) for each in found.missing]
        missing = set(found.missing)
        failing = [part for part in found.lines[0].parts if not part.holds and part.name not in missing]
        return [*said, *(self._change(part, found, agreement) for part in failing)]

    def _change(self, part: Part, found: Explanation, agreement: Agreement) -> str:
        t, extra = self.speech.t, [each for each in part.asked if each not in part.granted]
        if part.name == "holder":
            return t(CHANGES["owner"], holder=self.values(part.granted))
        if part.name == "term":
            starts = dt.datetime.fromisoformat(part.granted[0].split(" to ")[0])
            return t(CHANGES["wait"], moment=self.speech.moment(starts)) if found.at < starts else t(CHANGES["renew"])
        if part.name == "hours":
            return t(CHANGES["hours"], granted=self.values(part.granted))
        named = {"name": self.name(part.name), "extra": self.values(extra)}
        agreed = _AGREED.get(part.name)
        if agreed is None:
            return t(CHANGES["demand"], **named)
        held = {str(each) for each in getattr(agreement, agreed)}
        if held.issuperset(extra):
            return t(CHANGES["again"], **named)
        clause = agreement.clause(agreed)
        return t(CHANGES["agree"], clause=f"{t('clause {number}', number=clause.number)}, {clause.article}", **named)

    def parts(self, line: ExplainedLine) -> list[Told]:
        """Return the parts of a policy line, those that fail first."""
        told = [
            Told(
                self.name(part.name), self.values(part.asked), self.values(part.granted), part.holds,
                self.cited(part.clause, part.article),
            )
            for part in line.parts
        ]  # fmt: skip
        return sorted(told, key=lambda each: each.holds)

    def cited(self, clause: str, article: str) -> str:
        """Return the clause and the article behind something."""
        t, numbered = self.speech.t, _CLAUSE.fullmatch(clause)
        said = t("clause {number}", number=numbered[1]) if numbered else t(CITED[clause]) if clause in CITED else clause
        return " · ".join(each for each in (said, article) if each)

    def clause(self, text: str) -> tuple[str, str]:
        """Return where a clause of an agreement stands, and what it says, of its citation and text."""
        found = _CLAUSE_TEXT.fullmatch(text)
        if found is None:
            return "", text
        return self.cited(f"clause {found[1]}", found[2]), self.values(filter(None, re.split("[,;] ", found[3])))

    def name(self, name: str) -> str:
        """Return the name of a part of a question or scope."""
        return self.speech.t(NAMES.get(name, name))

    def values(self, values: Iterable[str]) -> str:
        """Return values of a part, each as people call it."""
        return self.speech.t(", ").join(self._value(each) for each in values) or "—"

    def title(self, identifier: str) -> str:
        """Return the name of an entry or organisation; the id where it has none."""
        return self.titles.get(identifier, identifier)

    def _value(self, value: str) -> str:
        if value in self.titles:
            return self.titles[value]
        if value in WORDS:
            return self.speech.t(WORDS[value])
        edge = _EDGE.fullmatch(value)
        if edge:
            return self.speech.t(f"{edge[1]} {{moment}}", moment=self._value(edge[2]))
        if " to " in value and "T" in value:
            start, _, end = value.partition(" to ")
            return self.speech.t("{start} to {end}", start=self._value(start), end=self._value(end))
        if len(value) > 18 and value[4:5] == "-" and value[10:11] == "T":
            return self.speech.moment_text(value)
        hours = _HOURS.fullmatch(value)
        if hours:
            return self.speech.t(f"{{hours}} on {hours[2]}", hours=hours[1])
        return self.speech.t(value) if value in _COMMON else value


_COMMON = frozenset({"view", "aggregate", "join", "train", "verify", "component", "model", "verification", "service",
                     "report"})  # fmt: skip


def read_moment(text: str) -> dt.datetime | None:
    """Return the moment of a form's field, in the city's time; None where it is empty; raises ValueError."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=CITY_ZONE) if text else None


def _granted(found: Explanation) -> list[str]:
    """Return what the lines have that hold all before the part which the decision names: what its reason quotes."""
    name = found.decision.code.removeprefix("scope.")
    order = [each.name for each in ATTRIBUTES]
    if name not in order:
        return []
    before = set(order[: order.index(name)])
    left = [line for line in found.lines if all(part.holds for part in line.parts if part.name in before)]
    return sorted({value for line in left for part in line.parts if part.name == name for value in part.granted})

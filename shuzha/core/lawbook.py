"""Rules of law as data: `law/*.toml`, each rule with its source article, validity, clock and what silence means."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import msgspec

from shuzha.core.calendar import Due, WorkingCalendar
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid, NotFound

Lapse = Literal["deem_agreed", "authority_substitutes", "escalate"]


@dataclass(frozen=True, slots=True)
class LawRule:
    """One rule: who must do what by when, on whose authority; `days` are working days, `calendar_days` all days."""

    id: str
    source: str
    article: str
    jurisdiction: str
    valid_from: dt.date
    actor: str
    text: str
    valid_to: dt.date | None = None
    days: int | None = None
    years: int | None = None
    calendar_days: int | None = None
    on_lapse: Lapse = "escalate"
    verified: bool = True

    def citation(self) -> str:
        """Return source and article, as a decision quotes them."""
        return f"{self.source} {self.article}"


class LawBook:
    """The rules of one jurisdiction, and the due dates that follow from them."""

    def __init__(self, rules: Mapping[str, LawRule], calendar: WorkingCalendar) -> None:
        self._rules = dict(rules)
        self._calendar = calendar

    @classmethod
    def load(cls, jurisdiction: str, calendar: WorkingCalendar | None = None) -> LawBook:
        """Return the book of a jurisdiction: its own rules before the national ones, those before house defaults."""
        found: dict[str, LawRule] = {}
        folder = resources.files("shuzha.core") / "law"
        for layer in ("house", "national", jurisdiction):
            file = folder / f"{layer}.toml"
            if not file.is_file():
                raise Invalid(f"no law file for jurisdiction `{layer}`", rule="law.jurisdiction")
            for rule in tomllib.loads(file.read_text("utf-8"))["rule"]:
                found[rule["id"]] = msgspec.convert(rule | {"jurisdiction": layer}, LawRule)
        return cls(found, calendar or WorkingCalendar())

    @property
    def calendar(self) -> WorkingCalendar:
        """The working-day calendar that due dates are counted in."""
        return self._calendar

    def get_rule(self, rule_id: str) -> LawRule:
        """Return the rule of this id, or raise NotFound."""
        if rule_id not in self._rules:
            raise NotFound(f"no rule `{rule_id}` in the law book")
        return self._rules[rule_id]

    def due(self, rule_id: str, received: dt.datetime) -> Due | None:
        """Return the date by which the rule's actor must act; None where the rule states no clock."""
        rule = self.get_rule(rule_id)
        return None if rule.days is None else self._calendar.due(city_date(received), rule.days)

    def remaining(self, due: Due, now: dt.datetime) -> int:
        """Return the working days left until a due date, negative when it is past."""
        return self._calendar.remaining(city_date(now), due.date)

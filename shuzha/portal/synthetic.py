"""The form for a synthetic release: what it would cost and hold, and what a person wrote into it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from shuzha.authorization.model import Grant
from shuzha.catalog.domains import accepted_of, find_domain
from shuzha.catalog.model import Entry
from shuzha.catalog.value_domain import ValueDomain
from shuzha.core.errors import Invalid
from shuzha.releases.model import LEAST_EPSILON, METHODS, SYNTHETIC_RULE, SyntheticOptions
from shuzha.releases.synthetic import list_synthesized

_USUAL_EPSILON = 1.0
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class SyntheticOffer:
    """What the form says: the columns, those whose values nobody said yet, and the epsilon that is left.

    `left` is None where no budget allows a synthetic table at all.
    """

    columns: tuple[str, ...]
    missing: tuple[str, ...]
    left: float | None
    template: str

    @property
    def spent(self) -> bool:
        """Whether there is a budget and nothing that would be worth asking for is left of it."""
        return self.left is not None and self.left < LEAST_EPSILON

    @property
    def proposed(self) -> dict[str, str]:
        """What the form's fields hold at first: the usual epsilon or what is left, and the columns to be told of."""
        epsilon = f"{min(_USUAL_EPSILON, self.left or 0.0):.4g}"
        return {"epsilon": epsilon, "rows": "1", "method": METHODS[0], "without": "", "domains": self.template}

    @property
    def may(self) -> bool:
        """Whether anything can be asked for."""
        return bool(self.columns) and (self.left or 0.0) >= LEAST_EPSILON


def offer_synthetic(entry: Entry, grant: Grant, left: float | None) -> SyntheticOffer:
    """Return what the form offers for a grant; columns that name somebody are not in it."""
    elements = list_synthesized(entry, grant)
    missing = [element for element in elements if find_domain(element) is None]
    lines = [f"[{_key(each.name)}]\n# {accepted_of(each)}\n" for each in missing]
    return SyntheticOffer(
        tuple(element.name for element in elements), tuple(element.name for element in missing), left, "\n".join(lines)
    )


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def read_options(epsilon: str, rows: str, method: str, without: str, domains: str) -> SyntheticOptions:
    """Return what a form asks for; refuses what is no number, no TOML, and no domain, without repeating it."""
    try:
        cost, most = float(epsilon), int(rows or "1")
    except ValueError:
        raise Invalid(
            "the form has no number where it needs one", rule=SYNTHETIC_RULE, accepted="epsilon 1, rows of a person 1"
        ) from None
    names = tuple(part.strip() for part in without.replace(",", "\n").splitlines() if part.strip())
    return SyntheticOptions(cost, rows_per_entity=most, method=method, without=names, domains=_read_domains(domains))


def _read_domains(text: str) -> dict[str, ValueDomain]:
    try:
        found: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise _unread("the values of the columns are not TOML") from None
    # A heading of the form's own with nothing below it says nothing.
    return {name: _read_domain(name, value) for name, value in found.items() if value != {}}


def _read_domain(name: str, value: object) -> ValueDomain:
    known: Sequence[str] = ValueDomain.__dataclass_fields__.keys()  # type: ignore[assignment]
    if not isinstance(value, dict) or set(value) - set(known):
        raise _unread(f"the values of `{name[:64]}` have unknown options")
    try:
        return msgspec.convert(value, ValueDomain)
    except msgspec.ValidationError:
        raise _unread(f"the values of `{name[:64]}` are of the wrong type") from None


def _unread(why: str) -> Invalid:
    accepted = '[column] and below it values = ["a", "b"], edges = [0, 10, 20] or regions = "330100"'
    return Invalid(why, rule=SYNTHETIC_RULE, accepted=accepted)

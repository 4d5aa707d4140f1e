"""What data are used for: the codes that forms offer, with a name for people.

A purpose is a code that keys and calls repeat word for word, so one that is mistyped in an application fails months
later. The usual ones are therefore chosen; a unit may still name its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

USUAL: Mapping[str, str] = MappingProxyType({
    "loan-review": "Review of a loan",
    "insurance": "Underwriting and claims of insurance",
    "public-service": "Services to residents and enterprises",
    "statistics": "Statistics and analysis",
    "research": "Scientific research",
    "risk-control": "Control of risks and fraud",
})  # fmt: skip


def purpose_name(code: str) -> str:
    """Return the message id of a purpose's name; a code of the unit's own is its name."""
    return USUAL.get(code, code)


def offer_purposes(*used: Iterable[str]) -> tuple[str, ...]:
    """Return the codes that a form offers: the usual ones, then those that were used before, each once."""
    return tuple(dict.fromkeys((*USUAL, *sorted({code for codes in used for code in codes}))))

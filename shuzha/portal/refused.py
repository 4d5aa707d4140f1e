"""What is known of a form that was refused: where it was sent, what was typed, and which of its fields are wrong.

A refusal says which field it means by `field`, or by naming it between backticks in its sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData

from shuzha.core.errors import NotAllowed, ShuzhaError
from shuzha.people.web import check_same_origin
from shuzha.portal.i18n import Speech
from shuzha.portal.refill import Mark

AGAIN = "A file is not sent twice: choose it again."
AMISS = "Some fields are not filled in as they should be."
LOST = "The form that was sent is not on this page. This was typed, and can be copied from here:"
MISSING = "This field is empty."
OTHERWISE = "This does not fit the field."
EXPECTED: Mapping[str, str] = MappingProxyType({
    "missing": MISSING,
    "date": "A day is expected, such as 2026-03-31.",
    "int": "A whole number is expected.",
    "bool": "Yes or no is expected.",
})  # fmt: skip
ALL = (AGAIN, AMISS, LOST, OTHERWISE, *EXPECTED.values())
SECRETS = frozenset({"api_key", "csrf", "next", "login", "password", "number"})
"""Fields that are shown nowhere but in the form itself: tokens, and what is typed once."""
_NAMED = re.compile(r"`([a-z_]+)`")


@dataclass(slots=True)
class Refused:
    """One refused form; `said` and `status` are for a page that does not know of it; `drawn`: the form was shown."""

    path: str
    typed: Mapping[str, Sequence[str]]
    marks: Sequence[Mark] = ()
    said: Sequence[str] = ()
    status: int = 422
    drawn: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """What was typed that may be shown outside its form."""
        return tuple(
            text for name, texts in self.typed.items() if name not in SECRETS for text in texts if len(text.strip()) > 1
        )


def refused_of(request: Request) -> Refused | None:
    """Return the form that a page is shown for again, as it was sent; None for a page that was only asked for."""
    kept: Refused | None = getattr(request.state, "refused", None)
    if kept is not None or request.method != "POST":
        return kept
    return Refused(request.url.path, typed_of(request))


def typed_of(request: Request) -> dict[str, list[str]]:
    """Return the texts of the form that was posted, which FastAPI has read by now; of none where it had no fields.

    What another site sent is not repeated.
    """
    try:
        check_same_origin(request)
    except NotAllowed:
        return {}
    form = getattr(request, "_form", None) or FormData()
    typed: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            typed.setdefault(name, []).append(value)
    return typed


def mark_error(error: ShuzhaError, said: str) -> tuple[Mark, ...]:
    """Return the marks of a refusal whose sentence stands on top of the page already."""
    names = (error.field,) if error.field else dict.fromkeys(_NAMED.findall(error.message))
    return tuple(Mark(name, said, listed=False) for name in names)


def mark_misfits(errors: Sequence[Mapping[str, Any]], speech: Speech) -> tuple[Mark, ...]:
    """Return the marks of fields that cannot be read, of FastAPI's list of them."""
    return tuple(_misfits(errors, speech))


def _misfits(errors: Sequence[Mapping[str, Any]], speech: Speech) -> Iterator[Mark]:
    for error in errors:
        place, *rest = [part for part in error["loc"] if part != "body"] or [""]
        kind = str(error["type"]).split("_")[0]
        # An empty field of several is read as one that cannot be: nothing was typed, so nothing is wrong with it.
        empty = error.get("input") in ("", None)
        said = speech.t(EXPECTED["missing"] if empty else EXPECTED.get(kind, OTHERWISE))
        yield Mark(str(place), said, next((part for part in rest if isinstance(part, int)), 0))


def unseen(refused: Refused, speech: Speech) -> str:
    """Return a section with what was typed, for a page on which the form does not stand; nothing where none was."""
    if not refused.texts:
        return ""
    items = "".join(f'<pre class="cell" tabindex="0">{escape(text)}</pre>' for text in refused.texts)
    return f'<section class="typed"><p>{escape(speech.t(LOST))}</p>{items}</section>'

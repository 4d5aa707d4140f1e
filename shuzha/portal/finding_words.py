"""Where a finding was made, in the reader's language: the places that the airlock's rules name in a few fixed forms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from sandbox.airlock.differencing import EARLIER

_FORMS: Final[tuple[tuple[str, str], ...]] = (
    (r"outputs (?P<names>.+)", "outputs {names}"),
    (r"columns (?P<names>.+)", "columns {names}"),
    (r"column (?P<name>.+)", "column {name}"),
    (r"attribute (?P<name>.+)", "attribute {name}"),
    (r"term (?P<name>.+)", "term {name}"),
    (r"outcome (?P<name>.+)", "outcome {name}"),
    (r"claims (?P<names>.+)", "claims {names}"),
    (r"claim (?P<name>.+)", "claim {name}"),
    (r"cell (?P<names>.+)", "notebook cell {names}"),
    (r"beyond (?P<end>.+)", "beyond {end}"),
    (r"(?P<count>\d+) more cells", "{count} more cells"),
    (r"(?P<blocked>\d+) blocked, (?P<others>\d+) to protect them", "{blocked} blocked, {others} to protect them"),
)
_PLAIN: Final = (
    EARLIER, "file name", "values", "step", "residual", "an entity", "the fit is exact", "rows of one",
    "a standard error is zero or none", "bytes", "numbers", "scales", "people", "membership", "attacks", "epsilon",
    "nothing was measured",
)  # fmt: skip
PLACE_WORDS: Final = (*_PLAIN, *(message for _, message in _FORMS))
"""The message ids of every place that has a translation."""


def say_place(place: str, translate: Callable[..., str]) -> str:
    """Return the place as the reader's language says it; what has no fixed form stays as the rule wrote it."""
    return "; ".join(_say(part, translate) for part in place.split("; "))


def _say(part: str, translate: Callable[..., str]) -> str:
    if part in _PLAIN:
        return translate(part)
    for found, message in _matches(part):
        return translate(message, **found.groupdict())
    return part


def _matches(part: str) -> Iterator[tuple[re.Match[str], str]]:
    for form, message in _FORMS:
        if found := re.fullmatch(form, part):
            yield found, message

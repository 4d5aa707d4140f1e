r"""What one kind of identifier is: the form of a definition.

Words: a *pattern* is written once, with `\b` where an ASCII word boundary belongs (so that an identifier glued to
Chinese characters is found), and read after full-width characters became ASCII (`reading`); a *check* names a
validity test in `checksums` (scalar twin in `check_digits`); its *chance* is how often random text of the pattern
passes it; *gates* are cheaper patterns that every match satisfies, each looked at in what the one before it left; a
*marked* identifier always has a character that is neither letter nor digit; a *weak* identifier has a form that many
codes share, so it counts only under a column name that says it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DIRECT, QUASI, SENSITIVE, OTHER = "direct", "quasi", "sensitive", "other"

DAY = "(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
# Gates are of character classes only: a literal in them would be searched for first, and numbers are full of them.
GATE_DIGITS = "[0-9](?:[ .)）-]{0,2}[0-9]){9}"
GATE_LONG_DIGITS = "[0-9](?:[ -]?[0-9]){14}"
GATE_LONG_CODE = "[0-9A-Za-z]{17}"


@dataclass(frozen=True, slots=True)
class Identifier:
    """One kind of identifier.

    How it looks, how it is checked, what it is called, and what is proposed for a column of it. `lengths` are the
    fewest and most bytes of one, `bare` those of one without separators; `words` name a column of it, `pinyin` are
    initials that name one or, from three letters on, end its name.
    """

    entity: str
    chinese: str
    label: str
    pattern: str
    lengths: tuple[int, int]
    proposal: dict[str, Any] = field(default_factory=dict)
    check: str | None = None
    chance: float = 0.0
    role: str = DIRECT
    grade: int = 3
    weak: bool = False
    words: tuple[str, ...] = ()
    pinyin: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    marked: bool = False
    bare: tuple[int, int] | None = None


def pseudonym(domain: str) -> dict[str, Any]:
    """Return the proposal to replace values by pseudonyms of this domain."""
    return {"technique": "pseudonymize", "domain": domain, "normalize": True}

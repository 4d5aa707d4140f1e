"""One error tree. Each error says what was refused, on which thing, by which rule, and what would be accepted.

Messages name things and rules; they never carry a data value. `field` names the one part of the input that is meant, so
that a form can point to it.
"""

from __future__ import annotations


class ShuzhaError(Exception):
    """The root of every refusal that a caller can act on; `code` is stable, `str()` is for people."""

    code = "error"

    def __init__(
        self, message: str, *, code: str | None = None, rule: str | None = None, accepted: str | None = None,
        field: str = "",
    ) -> None:  # fmt: skip
        super().__init__(message)
        if code is not None:
            self.code = code
        self.rule = rule
        self.accepted = accepted
        self.field = field

    def __str__(self) -> str:
        parts = [super().__str__()]
        if self.rule:
            parts.append(f"rule: {self.rule}")
        if self.accepted:
            parts.append(f"accepted: {self.accepted}")
        return "; ".join(parts)

    @property
    def message(self) -> str:
        """The sentence alone, without rule and hint."""
        return super().__str__()


class NotFound(ShuzhaError):
    """The named thing does not exist, or not for this caller."""

    code = "not_found"


class NotAllowed(ShuzhaError):
    """The policy layer refused; `rule` names the line that did."""

    code = "not_allowed"


class TransitionNotAllowed(ShuzhaError):
    """The thing's state does not allow this verb; the message names state and verb."""

    code = "transition_not_allowed"


class Invalid(ShuzhaError):
    """The input breaks a rule; nothing was changed."""

    code = "invalid"


class Conflict(ShuzhaError):
    """Somebody else changed the thing first, or it exists already; reload and try again."""

    code = "conflict"


class Unavailable(ShuzhaError):
    """A part that is needed cannot answer now; nothing was changed and trying again is safe."""

    code = "unavailable"

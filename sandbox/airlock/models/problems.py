"""What a reader says of a file that it does not accept: the rule that speaks, and what would be accepted instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sandbox.airlock.models.inside.program import Program

CODE: Final = "model_code"
TYPE: Final = "model_type"
STORES: Final = "model_stores_rows"
EXTRA: Final = "model_extra"
FORMAT: Final = "model_format"


class ModelRefused(ValueError):
    """A model that is not accepted: `rule` speaks, `place` says where, `accepted` what would do instead."""

    def __init__(self, rule: str, place: str, accepted: str) -> None:
        super().__init__(f"{rule}: {place}")
        self.rule = rule
        self.place = place
        self.accepted = accepted


@dataclass(frozen=True, slots=True)
class Read:
    """A file that was understood: its format, its program, the bytes that would be released in its place.

    `content` is written by the platform from what it understood. `unread` are the bytes of what it left out and that
    no rule refuses, such as the name of the producing library. `types` names what the model is made of.
    """

    format: str
    program: Program
    content: bytes
    types: tuple[str, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)

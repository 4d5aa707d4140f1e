"""The words of the defence against enumeration.

*Limits* belong to a verification product and hold for a day of the city: how many different subjects one key may ask
about, how often one subject may be asked about over all keys (by one key half as often), and how many answers of one
key may be `no_match`, its *negative-answer budget*. An *alarm* says that a key reached one of them. A spent budget
stops the key at the product until somebody who answers for it resolves the alarm.

All of it counts what the caller sees anyway: whether a subject is known to the index never changes a count.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move

MOST = 1_000_000_000
MOST_ASKS = 65_000
RULE = "product.limits"


@dataclass(frozen=True, slots=True)
class ProductLimits:
    """How much may be asked of a product a day; `id` is the product's."""

    id: str
    distinct_subjects: int = 10_000
    subject_asks: int = 40
    negatives: int = 5_000
    set_by: str = ""
    reason: str = ""
    set_at: dt.datetime | None = None
    revision: int = 0

    @property
    def asks_of_one_key(self) -> int:
        """How often one key may ask about one subject: so that no key alone uses up what belongs to all."""
        return (self.subject_asks + 1) // 2


class AlarmKind(StrEnum):
    """Which limit a key reached."""

    DISTINCT_SUBJECTS = "distinct_subjects"
    SUBJECT_ASKS = "subject_asks"
    NEGATIVES = "negatives"


class AlarmState(StrEnum):
    """Whether somebody has looked."""

    OPEN = "open"
    RESOLVED = "resolved"


ALARM = Lifecycle(
    "alarm", AlarmState, AlarmState.OPEN,
    [Move("resolve", (AlarmState.OPEN,), AlarmState.RESOLVED, owner="operator")],
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alarm:
    """A key reached a limit of a product on a day, for the `round`-th time; `stops`: it is refused until resolved."""

    id: str
    product: str
    key: str
    kind: AlarmKind
    day: dt.date
    round: int
    consumer: str
    operator: str
    provider: str
    entry: str
    authorization: str
    limit: int
    stops: bool
    raised_at: dt.datetime
    state: AlarmState = AlarmState.OPEN
    resolved_by: str = ""
    resolved_at: dt.datetime | None = None
    reason: str = ""
    revision: int = 0


def check_limits(limits: ProductLimits) -> None:
    """Refuse limits that are none: each is 1 or more, and asks about one subject are counted to 65,000."""
    for name, most in (("distinct_subjects", MOST), ("subject_asks", MOST_ASKS), ("negatives", MOST)):
        if not 1 <= getattr(limits, name) <= most:
            raise Invalid(f"a product refuses this limit `{name}`", rule=RULE, accepted=f"1 to {most}")

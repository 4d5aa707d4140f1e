"""The tables of oversight."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from shuzha.core.records import Noun
from shuzha.ledger.cosignature import WitnessKey
from shuzha.oversight.model import ALERT, REQUIREMENT, Alert, AlertRule, Notice, Order, Requirement


@dataclass(frozen=True, slots=True)
class WitnessRecord:
    """A witness as the regulator registered it; `key` is its line `name+id+base64`."""

    id: str
    key: str
    organisation: str
    registered_by: str
    registered_at: dt.datetime
    retired_at: dt.datetime | None = None
    revision: int = 0

    @property
    def name(self) -> str:
        """The name in the witness's signature lines."""
        return WitnessKey.parse(self.key).name


WITNESSES = Noun("witnesses", WitnessRecord, index=["organisation"])
ALERTS = Noun(
    "alerts", Alert, lifecycle=ALERT, unique=[("kind", "consumer", "product", "key", "window")], index=["state"]
)
ALERT_RULES = Noun("alert_rules", AlertRule)
ORDERS = Noun("orders", Order, index=["subject"])
NOTICES = Noun("notices", Notice, unique=[("order", "consumer")], index=["consumer"])
REQUIREMENTS = Noun("requirements", Requirement, lifecycle=REQUIREMENT, index=["provider", "operator", "entry"])

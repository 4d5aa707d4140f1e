"""The tables of oversight."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from shuzha.core.records import Noun
from shuzha.ledger.cosignature import WitnessKey


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

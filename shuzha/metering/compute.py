"""What workspaces used, in the usage log: one entry a workspace and day, beside the uses of products.

An entry is known by workspace and day: sent again it is the same. It is no use of a product and is not billed by price;
the log makes it provable.
"""

from __future__ import annotations

import datetime as dt
import re

import msgspec

from shuzha.core.errors import Invalid

COMPUTE = "compute"
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,60}")


class ComputeUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One workspace's day: processor milliseconds, memory in byte-seconds, storage in byte-seconds."""

    workspace: str
    operator: str
    authorization: str
    grant: str
    day: str
    cpu_milliseconds: int
    memory_byte_seconds: int
    storage_byte_seconds: int

    @property
    def id(self) -> str:
        """The entry's id: the same for the same workspace and day."""
        return f"cmp_{self.workspace}_{self.day}"


def check_compute(use: ComputeUse) -> None:
    """Raise Invalid unless the day can be metered: ids by the house's letters, a date, no negative amount."""
    for field in ("workspace", "operator", "authorization", "grant"):
        if not _ID.fullmatch(getattr(use, field)):
            raise Invalid(
                f"a day's computing is refused: field {field}", rule=f"metering.{field}",
                accepted="1-60 of A-Z a-z 0-9 _ . : -",
            )  # fmt: skip
    try:
        dt.date.fromisoformat(use.day)
    except ValueError:
        raise Invalid(
            "a day's computing is refused: field day", rule="metering.day", accepted="a date, such as 2026-11-23"
        ) from None
    if min(use.cpu_milliseconds, use.memory_byte_seconds, use.storage_byte_seconds) < 0:
        raise Invalid("a day's computing is refused: a negative amount", rule="metering.amount", accepted="0 or more")

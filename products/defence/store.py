"""The tables of limits and alarms."""

from __future__ import annotations

from products.defence.model import ALARM, Alarm, ProductLimits
from shuzha.core.records import Noun

LIMITS = Noun("product_limits", ProductLimits)
ALARMS = Noun(
    "alarms", Alarm, lifecycle=ALARM, unique=[("key", "product", "kind", "day", "round")],
    index=["product", "operator", "provider", "consumer"],
)  # fmt: skip

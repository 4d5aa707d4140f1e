"""The table of keys."""

from __future__ import annotations

from products.consumers.model import KEY, ApiKey
from shuzha.core.records import Noun

KEYS = Noun("api_keys", ApiKey, lifecycle=KEY, unique=[("digest",), ("prefix",)], index=["organisation", "product"])

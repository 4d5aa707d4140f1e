"""The tables of consumers: their apps and the keys of these."""

from __future__ import annotations

from products.consumers.app_model import APP, App
from products.consumers.model import KEY, ApiKey
from shuzha.core.records import Noun

KEYS = Noun(
    "api_keys", ApiKey, lifecycle=KEY, unique=[("digest",), ("prefix",)], index=["organisation", "product", "app"]
)
APPS = Noun("apps", App, lifecycle=APP, index=["organisation"])

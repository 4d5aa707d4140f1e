"""The tables of authorizations, demands and grants."""

from __future__ import annotations

from shuzha.authorization.model import AUTHORIZATION, DEMAND, GRANT, Authorization, Demand, Grant
from shuzha.core.records import Noun

AUTHORIZATIONS = Noun(
    "authorizations", Authorization, lifecycle=AUTHORIZATION, index=["operator", "state", "valid_until"]
)
DEMANDS = Noun("demands", Demand, lifecycle=DEMAND, index=["authorization", "operator", "provider"])
GRANTS = Noun("grants", Grant, lifecycle=GRANT, unique=[("demand",)], index=["authorization", "operator", "provider"])

"""Two granted demands behind a portal: over an entry without a budget, and over one with a synthetic release."""

from __future__ import annotations

import json
from pathlib import Path

from shuzha.authorization.model import Demand
from shuzha.portal.synthetic import read_options
from shuzha.releases.model import ReleaseState
from tests.portal_kit import PortalCity
from tests.releases_kit import DISTRICTS

DOMAINS = f"""
[period]
values = ["2026-02"]
[kind]
values = ["pension", "medical"]
[base]
edges = [0, 8000, 16000, 24000]
[district_code]
values = {json.dumps(DISTRICTS)}
"""
FEWER = DOMAINS.replace("[base]\nedges = [0, 8000, 16000, 24000]\n", "")
FIELDS = {"epsilon": "2", "rows": "2", "method": "mst", "without": "", "domains": DOMAINS}


def synthetic_city(folder: Path, port: int = 8000) -> PortalCity:
    """Return the city; `made` has `demand`, `entry`, `synthetic`, and `baredemand`, `bareentry` of the other."""
    made = PortalCity(folder, port)
    for name, code in (("bare", "370100-HRSS-0001"), ("", "370100-HRSS-0002")):
        entry = made.entry(code)
        made.fill(entry, 200)
        made.made |= {f"{name}entry": entry.id, f"{name}demand": made.demand(made.authorize(entry), entry, code).id}
    made.platform.budgets.set_budget(made.people["provider"], made.made["entry"], 5.0, 1e-6, "约定")
    grant, options = demand_of(made).grant, read_options(**FIELDS)
    release = made.platform.releases.request_release(made.people["analyst"], grant, options)
    made.made["synthetic"] = release.id
    assert made.platform.releases.run_build(release.id).state is ReleaseState.READY
    return made


def demand_of(city: PortalCity) -> Demand:
    """Return the demand whose entry has a budget."""
    return city.platform.authorization.get_demand(city.people["operator"], city.made["demand"])

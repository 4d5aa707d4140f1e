"""The airlock's three answers, shown: one passes, one comes back and passes when mended, one is held back for good.

What passes is the journey's own request. The pilot is a table over a sample so small that a district has six people: a
rule returns it, one word mends it. The last asks for the released table once more without five people: each of its
figures is large, and the differences are theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shuzha.core.errors import Unavailable
from shuzha.core.settings import Settings
from shuzha.server.demo.client import Person
from shuzha.server.demo.hub_session import sit_down

PILOT: Final = "pilot-by-district.ipynb"
LACKING: Final = "all-but-a-few.ipynb"

_START: Final = """
import polars as pl
import workbench

register = workbench.load("social_insurance")
latest = register.select(pl.col("period").max()).collect().item()
paid = register.filter(pl.col("period") == latest, pl.col("paid"))
in_force = [("period", "==", latest), ("paid", "==", True)]
"""
_PILOT: Final = """
pension = paid.filter(pl.col("kind") == "pension")
smallest = pension.group_by("district_code").len().sort("len", "district_code").collect()["district_code"][0]
there = pension.filter(pl.col("district_code").eq_missing(smallest)).select("resident_id").unique().sort("resident_id")
until = there.collect()["resident_id"][6]
where = [*in_force, ("kind", "==", "pension"), ("resident_id", "<", until)]
pilot = workbench.table("social_insurance", rows=["district_code"], where=where, aggregate="entities"{repair})
workbench.export("pilot_by_district", pilot, context="试点样本 · people of a pilot sample, by district")
"""
_LACKING: Final = """
fifth = paid.select("resident_id").unique().sort("resident_id").collect()["resident_id"][4]
rest = workbench.table(
    "social_insurance", rows=["district_code"], columns=["kind"], where=[*in_force, ("resident_id", ">", fifth)],
    aggregate="entities", repair="suppress",
)
workbench.export("insured_but_a_few", rest, context="各区县各险种参保人数 · insured people by district and kind")
"""
_MENDED: Final = ', repair="suppress"'
_SETTLED: Final = frozenset({"screened", "returned", "rejected", "held", "withdrawn"})


@dataclass(frozen=True, slots=True)
class Way:
    """Who asks and who reviews, where the workspace is, and the portal that it is asked through."""

    settings: Settings
    password: str
    analyst: Person
    reviewers: Sequence[Person]
    workspace: str
    server: str


def show_exits(way: Way) -> tuple[str, dict[str, Any]]:
    """Return what was shown, a line a request, and the ids of the mended and the blocked one with how each ended.

    Raises Unavailable where the airlock did something else than it should.
    """
    pilot, blocked = asyncio.run(_ask(way, {PILOT: [_START, _PILOT.format(repair="")], LACKING: [_START, _LACKING]}))
    returned = _wait(way, pilot, "min_count")
    held = _wait(way, blocked, "differencing")
    asyncio.run(_ask(way, {PILOT: [_START, _PILOT.format(repair=_MENDED)]}, pilot))
    mended = way.analyst.wait(f"/exports/{pilot}", lambda one: one["round"] == 2 and one["state"] in _SETTLED, "it")
    if mended["state"] != "screened":
        raise Unavailable(f"the mended request is {mended['state']}: {mended['steps'][-1]['reason']}")
    for person in way.reviewers:
        person.post(f"/exports/{pilot}/vote", {"choice": "approve", "reason": "小格已隐去 small cells are left out"})
    mended = way.analyst.wait(f"/exports/{pilot}", lambda one: one["state"] in {"released", "returned"}, "the release")
    if mended["state"] != "released":
        raise Unavailable(f"the mended request is {mended['state']}")
    outputs = [
        {"notebook": PILOT, "request": pilot, "returned_for": _rules(returned), "mended_by": "suppress",
         "state": mended["state"]},
        {"notebook": LACKING, "request": blocked, "returned_for": _rules(held), "state": held["state"]},
    ]  # fmt: skip
    said = (
        f"mended: a pilot sample came back ({', '.join(_rules(returned))}), and passed with small cells suppressed\n"
        f"held back: the first table again, but for five people ({', '.join(_rules(held))})"
    )
    return said, {"mended": pilot, "blocked": blocked, "outputs": outputs}


async def _ask(way: Way, notebooks: dict[str, list[str]], again: str = "") -> list[str]:
    """Save these notebooks in the workspace and submit them in the portal; return the requests' ids."""
    made = []
    async with sit_down(way.settings, way.analyst.login, way.password, way.server) as seat:
        for name, cells in notebooks.items():
            await seat.save_notebook(name, cells)
            form = {"notebook": name, "context": "出域演示 · what the airlock does (demo)", "again": again}
            made.append(await seat.submit(f"{way.settings.portal_url}/workspaces/{way.workspace}", form))
    return made


def _wait(way: Way, export: str, rule: str) -> Any:
    found = way.analyst.wait(f"/exports/{export}", lambda one: one["state"] in _SETTLED, "the clean room")
    if found["state"] != "returned" or rule not in _rules(found):
        raise Unavailable(f"the airlock should have returned {export} for {rule}, and it is {found['state']}")
    return found


def _rules(found: Any) -> list[str]:
    return sorted({one["rule"] for one in found["findings"] if one["severity"] == "block"})

"""Two outputs that are each harmless and together say something of a few people: asked for by two, in two requests.

Nothing here needs root: notebooks run as scripts, and the platform computes, judges, compares and releases for real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from airlock_kit import TABLE, AirlockCity
from authorization_kit import person
from budgets_kit import BudgetCity
from releases_kit import payments

from sandbox.airlock.memory.records import KeptOutput
from sandbox.airlock.memory.service import Leaving, Memory
from sandbox.airlock.model import Choice, ExportRequest, ExportState
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.errors import NotAllowed
from shuzha.releases.model import Release


class ForgetfulMemory(Memory):
    """Keeps everything and remembers nothing."""

    def _kept(self, entry: str, unit: str | None, without: str) -> tuple[KeptOutput, ...]:
        return ()


@dataclass
class Twice:
    """A city in which two people ask, one after the other, with or without a memory."""

    city: AirlockCity
    first: Release
    second: Release
    other: Actor

    def leave(self, who: Actor, release: Release, *cells: str) -> ExportRequest:
        """Return the request after everything that can be done for it was done."""
        airlock = self.city.airlock
        request = airlock.process(airlock.submit(who, self.city.submission(release, *cells)).id)
        if request.state is ExportState.SCREENED:
            airlock.vote(self.city.checker, request.id, Choice.APPROVE, "counts are large")
            airlock.vote(self.city.second, request.id, Choice.APPROVE, "I looked at each cell")
            request = airlock.finish(request.id)
        return request

    def try_both(self, before: list[str], after: str) -> set[str]:
        """Return the rules that hold back what the other asks for; without the memory the same request leaves."""
        for cell in before:
            left = self.leave(self.city.analyst, self.first, cell)
            assert left.state is ExportState.RELEASED, left.findings
        held = self.leave(self.other, self.second, after)
        assert held.state is ExportState.RETURNED
        memory = self.city.airlock._parts.screener._memory
        assert memory is not None
        forgetful = ForgetfulMemory(memory._database, memory._zone, memory._identities)
        self.city.airlock._parts.screener._memory = forgetful
        control = self.leave(self.other, self.second, after)
        assert control.state is ExportState.RELEASED, control.findings
        return {finding.rule for finding in held.findings if finding.severity == "block"}


@pytest.fixture
def one_unit(tmp_path: Path) -> Twice:
    city = AirlockCity(tmp_path)
    city.made = city.ready()
    return Twice(city, city.made[1], city.made[1], city.colleague)


@pytest.fixture
def two_units(tmp_path: Path) -> Twice:
    city = AirlockCity(tmp_path)
    grant, release = city.ready()
    with city.database.read() as work:
        entry = work.get(ENTRIES, grant.entry)
    # The rival applies, is authorized and has a release of its own: other pseudonyms, which nobody there can join.
    city.operator, city.analyst, analyst = city.rival, person("xu", "org_rival", "analyst"), city.analyst
    other = city.built(city.grant(city.authorize(entry), entry, **_scope(grant)))
    made = Twice(city, release, other, city.analyst)
    city.analyst = analyst
    return made


def _scope(grant: object) -> dict[str, object]:
    scope = grant.scope  # type: ignore[attr-defined]
    return {"columns": tuple(sorted(scope.columns)), "row_filter": (), "output_kinds": tuple(scope.output_kinds)}


def only(where: str, table: str = TABLE) -> str:
    return table.replace("aggregate=", f"where=[{where}], aggregate=")


PENSION = '("kind", "==", "pension")'


@pytest.mark.parametrize("few", ['("base", ">=", 4600)', '("base", "not_null"), ("base", ">", 4599)'])
@pytest.mark.attack(
    what="everybody, and everybody but a few, by a filter that is said in several ways",
    route="two people of one unit", layer="differencing memory",
    control="the same request leaves when the memory forgets what left before it",
)  # fmt: skip
def test_all_but_a_few_does_not_leave_after_all(one_unit: Twice, few: str) -> None:
    assert one_unit.try_both([only(PENSION)], only(f"{PENSION}, {few}")) == {"differencing"}


@pytest.mark.attack(
    what="everybody, and everybody but a few, each under an authorization of its own",
    route="two units", layer="differencing memory",
    control="the same request leaves when the memory forgets what left before it",
)  # fmt: skip
def test_two_units_cannot_take_out_the_difference_of_a_few(two_units: Twice) -> None:
    assert two_units.first.operator != two_units.second.operator
    assert two_units.try_both([only(PENSION)], only(f'{PENSION}, ("base", ">=", 4600)')) == {"differencing"}


@pytest.mark.attack(
    what="two halves, and later a whole that lacks a few of them",
    route="two units", layer="differencing memory",
    control="the same request leaves when the memory forgets what left before it",
)  # fmt: skip
def test_three_outputs_cannot_be_combined(two_units: Twice) -> None:
    total = TABLE.replace('rows=["district_code"]', "rows=[]")
    halves = [only(f'{PENSION}, ("base", "<", 13000)', total), only(f'{PENSION}, ("base", ">=", 13000)', total)]
    whole = only(f'{PENSION}, ("base", ">=", 4600)', total)
    assert two_units.try_both(halves, whole) == {"differencing"}


@pytest.mark.attack(
    what="the same table over a new version of the data that has a few more people",
    route="two people of one unit", layer="differencing memory",
    control="the same request leaves when the memory forgets what left before it",
)  # fmt: skip
def test_a_new_version_does_not_tell_who_is_new(one_unit: Twice) -> None:
    city = one_unit.city
    grant, _ = city.ready()
    with city.database.read() as work:
        entry = work.get(ENTRIES, grant.entry)
    city.ingest(entry, payments(604), "bat_more")
    one_unit = replace(one_unit, second=city.built(grant))
    assert one_unit.try_both([TABLE], TABLE) == {"differencing"}


class SlowMemory(Memory):
    """Takes so long over the last comparison that much happens meanwhile."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    @contextmanager
    def leaving(self, *outputs: Any, **words: Any) -> Iterator[Leaving]:
        with super().leaving(*outputs, **words) as found:
            self.meanwhile()
            yield found


def _exchanged(one_unit: Twice, monkeypatch: pytest.MonkeyPatch) -> tuple[ExportRequest, list[KeptOutput]]:
    """Return a request whose outputs were exchanged, by way of everybody's verbs, while the first were compared."""
    city = one_unit.city
    service, release = city.airlock, one_unit.first
    request = city.request_at(ExportState.APPROVED, release, only(PENSION))

    def exchange() -> None:
        service.return_for_changes(city.authority, request.id, "another look")
        few = only(f'{PENSION}, ("base", ">=", 4600)')
        service.process(service.resubmit(city.analyst, request.id, city.submission(release, few)).id)
        for checker in (city.checker, city.second):
            service.vote(checker, request.id, Choice.APPROVE, "counts are large")

    memory = service._parts.screener._memory
    assert memory is not None
    slow = SlowMemory(memory._database, memory._zone, memory._identities)
    slow.meanwhile = exchange  # type: ignore[method-assign]
    monkeypatch.setattr(service._parts.screener, "_memory", slow)
    left = service.finish(request.id)
    slow.meanwhile = lambda: None  # type: ignore[method-assign]
    return left, list(memory.list_kept(left.files[0].entry))


@pytest.mark.attack(
    what="outputs exchanged by return, new submission and approval while the first ones were compared",
    route="a request on its way out", layer="airlock service",
    control="the first ones leave when nothing happens meanwhile, and the new ones by a job of their own",
)  # fmt: skip
def test_what_was_compared_is_what_leaves(one_unit: Twice, monkeypatch: pytest.MonkeyPatch) -> None:
    left, kept = _exchanged(one_unit, monkeypatch)
    assert (left.state, left.round, kept) == (ExportState.APPROVED, 2, [])
    again = one_unit.city.airlock.finish(left.id)
    assert again.state is ExportState.RELEASED
    memory = one_unit.city.airlock._parts.screener._memory
    assert memory is not None
    (one,) = memory.list_kept(left.files[0].entry)
    assert one.specification == again.files[0].specification


def _average(city: BudgetCity, times: int) -> tuple[float, int]:
    """Return the mean of noisy counts of everybody, asked in ever other words, and how many were answered."""
    grant, found = city.ready(epsilon=None), []
    city.cap(city.entry_of(grant), 1.0 if times <= 3 else 100.0)
    for least in range(times):
        # Everybody has a base above this: the question is the same, and its text is not.
        where = [{"column": "base", "op": "ge", "value": least}]
        try:
            found.append(city.ask(grant, epsilon=0.5, where=where)["rows"][0]["estimate"])
        except NotAllowed:
            break
    return sum(found) / len(found), len(found)


@pytest.mark.attack(
    what="one noisy count, asked again and again in other words, to average its noise away",
    route="a notebook's questions", layer="privacy budget",
    control="with a cap of a hundred the mean of as many answers is within three of the true count",
)  # fmt: skip
def test_noise_cannot_be_averaged_away(tmp_path: Path) -> None:
    (tmp_path / "capped").mkdir()
    (tmp_path / "open").mkdir()
    _, answered = _average(BudgetCity(tmp_path / "capped"), 3)
    assert answered == 2
    # The noise of the mean of 50 has a standard deviation of 0.4: three is seven of these.
    mean, answered = _average(BudgetCity(tmp_path / "open"), 50)
    assert answered == 50
    assert abs(mean - payments()["resident_id"].n_unique()) < 3

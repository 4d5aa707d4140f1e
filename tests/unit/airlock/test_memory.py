"""The differencing memory: what may not leave beside what left before, at its limits, and what it keeps of that."""

from __future__ import annotations

import stat
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_kit import Remembering, layers, output, source, table, where

from sandbox.airlock.memory.atoms import Atoms, Cutter
from sandbox.airlock.memory.bounds import find_told
from sandbox.airlock.memory.comparing import Effort
from sandbox.airlock.memory.isolation import find_isolated
from sandbox.airlock.memory.layers import DENSE, Layers
from sandbox.airlock.memory.overlap import compare
from sandbox.airlock.memory.service import Output
from sandbox.airlock.specification import (
    Claim,
    Coding,
    RegressionSpecification,
    TableSpecification,
    VerificationSpecification,
    check_specification,
)
from shuzha.core.errors import Invalid, NotFound, Unavailable

PEOPLE = 400


def people(number: int = PEOPLE, first: int = 0) -> pl.DataFrame:
    """Return people of whom everyone has a place, a level that is his own, and a wage."""
    everyone = range(first, first + number)
    return pl.DataFrame(
        {
            "person": [f"p{one}" for one in everyone],
            "place": ["xyzw"[one % 4] for one in everyone],
            "level": list(everyone),
            "wage": [3_000 + 7 * (one % 91) for one in everyone],
        }
    )


FRAME = source(people())


@pytest.fixture
def city(tmp_path: Path) -> Remembering:
    return Remembering(tmp_path)


def below(level: int, *rows: str, **changes: Any) -> TableSpecification:
    return table(*rows, where=[where("level", "lt", level)], **changes)


# pairs -----------------------------------------------------------------


@pytest.mark.boundary(
    rule="differencing", passes="two tables whose populations, or whose cells, differ by 10 people or by none",
    fails="by 9, in either order",
)  # fmt: skip
@pytest.mark.parametrize(
    ("first", "second", "least"),
    [
        (below(200), below(201), 1),
        (below(200), below(209), 9),
        (below(200), below(210), None),
        (below(200), below(200), None),
        (below(200, "place"), below(236, "place"), 9),  # nine in each place
        (below(200, "place"), below(240, "place"), None),  # ten in each place
        (below(200), below(209, "place"), 9),  # a figure and the sum of four
        (below(200, aggregate="mean", value="wage"), below(203), 3),
        (below(200), table(where=[where("level", "ge", 3), where("level", "lt", 200)]), 3),
    ],
)
def test_a_population_near_an_earlier_one_is_found_at_nine_and_passes_at_ten(
    city: Remembering, first: TableSpecification, second: TableSpecification, least: int | None
) -> None:
    for number, (one, two) in enumerate(((first, second), (second, first))):
        fresh = Remembering(city.folder / str(number))
        fresh.release(output("one", one, FRAME))
        near = fresh.near(output("two", two, FRAME))
        assert {figure for how, figure in near if how == "pair"} == ({least} if least else set())
        assert bool(near) == bool(least)


def test_the_same_population_said_in_other_words_is_the_same(city: Remembering) -> None:
    city.release(output("one", below(200, "place"), FRAME))
    said = table("place", where=[where("level", "in", list(range(200)))])
    assert city.near(output("two", said, FRAME)) == set()


def test_renamed_and_merged_groups_are_compared_by_who_is_in_them(city: Remembering) -> None:
    city.release(output("one", table("place"), FRAME))
    renamed = people().with_columns(place=pl.col("place").replace_strict({"x": "a", "y": "b", "z": "c", "w": "c"}))
    assert city.near(output("two", table("place"), source(renamed))) == set()
    moved = renamed.with_columns(place=pl.when(pl.col("level") == 0).then(pl.lit("b")).otherwise("place"))
    assert city.near(output("two", table("place"), source(moved))) == {("pair", 1)}


@pytest.mark.parametrize(("shift", "least"), [(9, 9), (10, None)])
def test_bins_that_are_shifted_a_little_are_found(city: Remembering, shift: int, least: int | None) -> None:
    def binned(by: int) -> Any:
        frame = people().with_columns(band=((pl.col("level") + by) // 100).cast(pl.String))
        return output("bins", table("band", where=[where("level", "ge", 100 - by)]), source(frame))

    city.release(binned(0))
    assert city.near(binned(shift)) == ({("pair", 9)} if least else set())


@pytest.mark.parametrize(("more", "near"), [(9, {("pair", 9)}), (10, set())])
def test_a_new_version_of_the_data_with_a_few_more_is_compared_with_the_old(
    city: Remembering, more: int, near: set[tuple[str, int]]
) -> None:
    city.release(output("one", table(), FRAME))
    grown = source(people(PEOPLE + more), release="rel_2", version=2)
    assert city.near(output("two", table(), grown)) == near


def test_another_units_release_writes_its_people_otherwise_and_is_compared(city: Remembering) -> None:
    city.release(output("one", table(), FRAME), unit="org_one")
    other = people(PEOPLE - 3).with_columns(person=pl.concat_str(pl.lit("other:"), "person"))
    compared = city.release(output("two", table(), source(other, release="rel_2")), unit="org_two")
    assert {one.figure for one in compared[0].near} == {3}
    assert [kept.organisation for kept in compared[0].earlier.values()] == ["org_one"]


def test_advice_compares_with_the_own_units_outputs_alone(city: Remembering) -> None:
    city.release(output("one", table(), FRAME), unit="org_one")
    near = output("two", below(PEOPLE - 3), FRAME)
    assert city.near(near, unit="org_two") == set()
    assert city.near(near, unit="org_one") == {("pair", 3)}


# what entities add -------------------------------------------------------


def persons(few: int) -> pl.DataFrame:
    """Return people of whom a few have no wage, earn far more than all others, or owe what they did not pay."""
    number = pl.col("level")
    return people().with_columns(
        known=pl.when(number >= few).then("wage"), paid=number % 2 == 0, owed=pl.col("wage"),
        settled=pl.when(number < few).then(pl.col("wage") - 500).otherwise("wage"),
        income=pl.when(number < few).then(80_000 + number).otherwise(pl.col("wage") + 0.25),
    )  # fmt: skip


ALL, SUM = table(), {"aggregate": "sum"}


@pytest.mark.parametrize("few", [3, 10])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ALL, table(value="known")),  # who has no wage
        (ALL, table(value="known", aggregate="count")),
        (ALL, table(value="known", aggregate="mean")),
        (table(aggregate="count"), table(value="known", aggregate="count")),
        (table(value="owed", **SUM), table(value="settled", **SUM)),  # who has not paid all
        (table(value="income", **SUM), table(value="income", **SUM, coding=Coding(top=50_000))),
        (table(value="income", **SUM), table(value="income", **SUM, coding=Coding(top=50_000, step=10))),
        (table(value="income", **SUM, coding=Coding(step=10)), table(value="income", **SUM, coding=Coding(top=50_000))),
    ],
)
def test_figures_of_the_same_people_do_not_tell_of_a_few(
    city: Remembering, first: TableSpecification, second: TableSpecification, few: int
) -> None:
    one = source(persons(few))
    for number, (before, after) in enumerate(((first, second), (second, first))):
        fresh = Remembering(city.folder / f"{number}")
        fresh.release(output("one", before, one))
        assert fresh.near(output("two", after, one)) == ({("pair", few)} if few < 10 else set())


@pytest.mark.parametrize(
    "asked",
    [
        table(value="paid", **SUM), table(value="paid", aggregate="mean"), table("place", value="paid", **SUM),
        table(value="level", aggregate="mean", coding=Coding(bottom=199, top=200)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("few", [3, 10])
def test_a_sum_of_two_values_is_compared_with_counts(city: Remembering, asked: TableSpecification, few: int) -> None:
    yes = where("level", "ge", 200) if asked.coding else where("paid", "eq", True)
    counted = table(where=[yes, where("level", "lt", 400 - few * (1 if asked.coding else 2))])
    one = source(persons(3))
    for number, (before, after) in enumerate(((asked, counted), (counted, asked))):
        fresh = Remembering(city.folder / f"{number}")
        fresh.release(output("one", before, one))
        near = fresh.near(output("two", after, one))
        assert {figure for _, figure in near} == ({few} if few < 10 else set())


def test_a_step_that_hardly_rounds_is_refused() -> None:
    for step in (0.1, 1, 2.5, 500):
        check_specification(table(value="wage", **SUM, coding=Coding(step=step)))
    for step in (1.0000001, 7, 499.9999):
        with pytest.raises(Invalid, match="no round number"):
            check_specification(table(value="wage", **SUM, coding=Coding(top=50_000, step=step)))


def visits(more: int = 0, raised: int = 0) -> pl.DataFrame:
    """Return two visits of everyone, a third one of the first `more`; the first `raised` paid more."""
    rows = people().with_columns(pl.lit([1, 2]).alias("visit")).explode("visit")
    third = people().head(more).with_columns(pl.lit(3, dtype=pl.Int64).alias("visit"))
    paid = pl.when((pl.col("level") < raised) & (pl.col("visit") == 1)).then(pl.col("wage") + 1).otherwise("wage")
    return pl.concat([rows, third]).with_columns(wage=paid)


@pytest.mark.parametrize(
    ("asked", "changed", "near"),
    [
        (table(aggregate="count"), visits(more=9), {("pair", 9)}),
        (table(aggregate="count"), visits(more=10), set()),
        (table(), visits(more=9), set()),  # the people are the same
        (table("visit", aggregate="sum", value="wage"), visits(raised=9), {("pair", 9)}),
        (table("visit", aggregate="sum", value="wage"), visits(raised=10), set()),
        (table(aggregate="mean", value="wage"), visits(raised=1), {("pair", 1)}),
        (table(aggregate="count", value="wage"), visits(raised=9), set()),  # as many values as before
    ],
)
def test_entities_whose_rows_changed_count_where_the_figures_show_it(
    city: Remembering, asked: TableSpecification, changed: pl.DataFrame, near: set[tuple[str, int]]
) -> None:
    city.release(output("one", asked, source(visits())))
    assert city.near(output("two", asked, source(changed, release="rel_2"))) == near


def test_a_total_of_rows_is_compared_with_the_sum_of_cells_in_which_one_stands_twice(city: Remembering) -> None:
    city.release(output("one", table("visit", aggregate="count"), source(visits())))
    assert city.near(output("two", table(aggregate="count"), source(visits()))) == set()
    assert city.near(output("two", below(PEOPLE - 4, aggregate="count"), source(visits()))) == {("pair", 4)}


def test_a_null_is_no_value(city: Remembering) -> None:
    few = people().with_columns(wage=pl.when(pl.col("level") < 9).then(None).otherwise("wage"))
    mean = table(aggregate="mean", value="wage")
    city.release(output("one", mean, FRAME))
    assert city.near(output("two", mean, source(few))) == {("pair", 9)}
    assert city.near(output("two", table(), source(few))) == set()


# combinations ------------------------------------------------------------


@pytest.mark.parametrize(("least", "near"), [(9, {("combination", 9)}), (10, set())])
def test_three_outputs_combined_are_found(city: Remembering, least: int, near: set[tuple[str, int]]) -> None:
    """The first and second are parts of the third but for a few people: no two of them are near each other."""
    city.release(output("one", table(where=[where("level", "lt", 150)]), FRAME))
    city.release(output("two", table(where=[where("level", "ge", 150), where("level", "lt", 300)]), FRAME))
    three = table(where=[where("level", "ge", least), where("level", "lt", 300)])
    assert city.near(output("three", three, FRAME)) == near


def test_cells_less_a_margin_are_found_over_four_outputs(city: Remembering) -> None:
    """Places by halves, each half a request of its own, and a total that leaves out five people."""
    city.release(output("one", below(200, "place"), FRAME), unit="org_one")
    city.release(output("two", table("place", where=[where("level", "ge", 200)]), FRAME), unit="org_two")
    total = output("three", table(where=[where("level", "ge", 5)]), FRAME)
    assert ("combination", 5) in city.near(total)
    compared = city.compare(total)[0]
    assert {kept.organisation for kept in compared.earlier.values()} == {"org_one", "org_two"}


def test_figures_of_sums_are_combined_by_who_is_in_them(city: Remembering) -> None:
    def mean(low: int, high: int) -> TableSpecification:
        limits = [where("level", "ge", low), where("level", "lt", high)]
        return table(aggregate="sum", value="wage", where=limits)

    city.release(output("one", mean(0, 150), FRAME), output("two", mean(150, 300), FRAME))
    assert city.near(output("three", mean(2, 300), FRAME)) == {("combination", 2)}


def test_outputs_of_one_request_count_as_earlier_ones(city: Remembering) -> None:
    parts = [output(str(low), table(where=[where("level", "ge", low), where("level", "lt", low + 150)]), FRAME)
             for low in (0, 150)]  # fmt: skip
    whole = output("whole", table(where=[where("level", "ge", 9), where("level", "lt", 300)]), FRAME)
    assert city.near(*parts, whole) == {("combination", 9)}


def test_what_earlier_outputs_gave_away_is_not_held_against_a_new_one(city: Remembering) -> None:
    city.release(output("one", below(200), FRAME), limit=1)
    city.release(output("two", below(203), FRAME), limit=1)
    assert city.near(output("three", table("place"), FRAME)) == set()


def test_a_hidden_cell_that_an_earlier_total_gives_back_is_found(city: Remembering) -> None:
    """Eight people are in place v; their cell was left out, and the total of all left before."""
    frame = people().with_columns(place=pl.when(pl.col("level") < 8).then(pl.lit("v")).otherwise("place"))
    asked, one = table("place"), source(frame)
    city.release(output("total", table(), one))
    whole = output("places", asked, one)
    assert whole.result is not None
    shown = whole.result.with_columns(entities=pl.when(pl.col("place") != "v").then("entities"))
    assert ("pair", 8) in city.near(replace(whole, result=shown))


def test_too_many_outputs_to_combine_are_left_to_people(tmp_path: Path) -> None:
    city = Remembering(tmp_path, Effort(outputs=1))
    city.release(output("one", below(150), FRAME))
    city.release(output("two", below(300), FRAME))
    assert city.near(output("three", table("place"), FRAME)) == {("unsure", 1)}
    dear = Remembering(tmp_path / "dear", Effort(cost=1))
    dear.release(output("one", below(150), FRAME))
    assert dear.near(output("three", table("place"), FRAME)) == {("unsure", 1)}


def test_a_comparison_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    city = Remembering(tmp_path, Effort(most_seconds=-1.0))
    city.release(output("one", below(150), FRAME))
    with pytest.raises(Unavailable):
        city.near(output("two", below(300), FRAME))


# other outputs -----------------------------------------------------------


def verification(level: int) -> VerificationSpecification:
    claim = Claim("low", "low", [where("level", "lt", level)])
    return VerificationSpecification("incomes", ["person"], [claim])


def test_claims_are_compared_with_claims(city: Remembering) -> None:
    city.release(Output("one", verification(200), FRAME))
    assert city.near(Output("two", verification(209), FRAME)) == {("pair", 9)}
    assert city.near(Output("two", verification(210), FRAME)) == set()
    assert city.near(output("three", below(201), FRAME)) == set()


@pytest.mark.parametrize(("few", "near"), [(3, {("pair", 3)}), (10, set())])
def test_who_has_no_logarithm_is_in_no_fit(city: Remembering, few: int, near: set[tuple[str, int]]) -> None:
    frame = source(
        people().with_columns(gain=pl.when(pl.col("level") < few).then(-1.0).otherwise(1.0 + pl.col("level")))
    )
    city.release(Output("all", RegressionSpecification("rel_1", "wage ~ C(place)"), frame))
    assert city.near(Output("fewer", RegressionSpecification("rel_1", "wage ~ log(gain)"), frame)) == near


@pytest.mark.parametrize(
    ("formula", "kept", "rest", "near"),
    [
        ("wage ~ 1", "lt", [where("level", "ge", 200)], ("combination", 3)),  # its intercept is a mean
        ("wage ~ C(place)", "ge", [], ("pair", 3)),  # so is each category's
        ("wage ~ C(place) + known", "ge", [], ("pair", 3)),
    ],
)
@pytest.mark.parametrize("few", [3, 10])
def test_what_a_regression_says_of_groups_is_compared_with_tables(
    city: Remembering, formula: str, kept: str, rest: list[Any], near: tuple[str, int], few: int
) -> None:
    frame = source(persons(0))
    asked = RegressionSpecification("rel_1", formula, where=[where("level", kept, 200 if kept == "lt" else 0)])
    city.release(Output("fit", asked, frame))
    if rest:
        city.release(output("half", table(value="wage", **SUM, where=rest), frame))
        after = table(value="wage", **SUM, where=[where("level", "ge", few)])
    else:
        after = table(value="wage", **SUM, where=[where("place", "eq", "x"), where("level", "ge", 4 * few)])
    assert city.near(output("after", after, frame)) == ({near} if few < 10 else set())


def test_regressions_are_compared_by_whose_rows_they_use(city: Remembering) -> None:
    def fitted(level: int) -> Output:
        asked = RegressionSpecification("rel_1", "wage ~ level", where=[where("level", "lt", level)])
        return Output(f"below_{level}", asked, FRAME)

    city.release(fitted(200))
    assert city.near(fitted(209)) == {("pair", 9)}
    assert city.near(fitted(210)) == set()
    assert city.near(output("two", below(203), FRAME)) == {("pair", 3)}
    (kept,) = city.memory.list_kept("ent_1")
    assert (kept.form, kept.entities) == ("regression", 200)


def test_rounded_tables_are_compared_and_not_combined(city: Remembering) -> None:
    one = table(where=[where("level", "lt", 150)], repair="round")
    city.release(output("one", one, FRAME))
    city.release(output("two", table(where=[where("level", "ge", 150), where("level", "lt", 300)]), FRAME))
    assert city.near(output("three", table(where=[where("level", "ge", 3), where("level", "lt", 300)]), FRAME)) == set()
    assert city.near(output("three", below(153), FRAME)) == {("pair", 3)}


def test_rows_that_are_nobodys_are_compared_within_their_release_alone(city: Remembering) -> None:
    bare = source(people().drop("person"), entity=None)
    city.release(output("one", below(200), bare))
    assert city.near(output("two", below(203), bare)) == {("pair", 3)}
    other = replace(bare, release="rel_2")
    (compared,) = city.compare(output("two", below(203), other))
    assert (compared.near, compared.unlike) == ((), 1)


def test_an_entity_that_the_source_does_not_explain_is_refused(city: Remembering) -> None:
    good = output("one", table("place"), FRAME)
    assert good.result is not None
    with pytest.raises(Invalid):
        city.compare(replace(good, result=good.result.head(2)))


# what is kept ------------------------------------------------------------


def test_what_leaves_is_kept_once_and_what_is_blocked_is_not(city: Remembering) -> None:
    city.release(output("one", below(200, "place"), FRAME))
    city.release(output("two", below(201, "place"), FRAME))
    (kept,) = city.memory.list_kept("ent_1")
    assert (kept.file, kept.cells, kept.entities, kept.family, kept.form) == ("one", 4, 200, "entities", "table")


def test_a_population_without_its_record_counts_for_nothing(city: Remembering) -> None:
    with city.memory.leaving([output("one", below(200), FRAME)], 10, export="exp_9", organisation="org_unit"):
        pass
    assert city.near(output("two", below(201), FRAME)) == set()


def test_a_request_does_not_stand_in_its_own_way(city: Remembering) -> None:
    city.release(output("one", below(200), FRAME))
    again = city.memory.compare([output("one", below(203), FRAME)], 10, export="exp_1")
    assert again[0].near == ()


def test_files_are_closed_to_others_and_hold_no_names(city: Remembering) -> None:
    city.release(output("one", table("place"), FRAME))
    folder = city.folder / "raw" / "memory"
    for path in [folder, *folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
        assert path.is_dir() or b"p399" not in path.read_bytes()


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_a_memory_that_is_not_whole_is_refused(city: Remembering, harm: str) -> None:
    city.release(output("one", table("place"), FRAME))
    (kept,) = city.memory.list_kept("ent_1")
    path = city.folder / "raw" / "memory" / "ent_1" / f"{kept.id}.parquet"
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9] + bytes(9))
    with pytest.raises((Invalid, NotFound)):
        city.near(output("two", below(201), FRAME))


def test_a_roll_can_only_grow(city: Remembering) -> None:
    city.release(output("one", table(), FRAME))
    roll = city.zone.read_roll("ent_1")
    assert len(roll) == PEOPLE
    with pytest.raises(Invalid):
        city.zone.write_roll("ent_1", roll[:-1])
    (city.folder / "raw" / "memory" / "ent_1" / "roll").write_bytes(b"torn")
    with pytest.raises(Invalid):
        city.zone.read_roll("ent_1")


# the parts ---------------------------------------------------------------


def _cut(*populations: Layers) -> Atoms:
    cutter = Cutter(max(one.height for one in populations), counted=False)
    assert all(cutter.add(one) for one in populations)
    return cutter.atoms()


@pytest.mark.boundary(
    rule="differencing", passes="counts that leave ten and more possible sizes to a group of two",
    fails="counts that leave nine",
)  # fmt: skip
@pytest.mark.parametrize(("few", "possible"), [(6, 9), (8, None)])
def test_counts_tell_a_group_that_no_combination_isolates(few: int, possible: int | None) -> None:
    """Two people in both of two counts, `few` more in each of them alone, and a third count of all the others.

    Twice the two and all the `few` is a figure, about 14 people; so the two are at most half of it.
    """
    both, one, two, first, second = (np.arange(n) for n in (2, few, few, 20, 20))
    parts = np.concatenate([np.full(len(part), tag) for tag, part in enumerate((both, one, two, first, second))])
    populations = [layers(np.where(np.isin(parts, tags), 0, -1)) for tags in ((0, 1, 3), (0, 2, 4), (3, 4))]
    atoms = _cut(*populations)
    assert find_isolated(atoms, 10).freedom == 0
    told = find_told(atoms, np.arange(3), 10)
    assert [each.possible for each in told.told] == ([possible] if possible else [])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_combinations_of_random_tables_are_those_that_brute_force_finds(people: list[tuple[int, int, int]]) -> None:
    """Every difference of two unions of cells of three tables: none rests on few where none was found."""
    parts = np.array(people)
    populations = [layers(parts[:, place]) for place in range(3)]
    limit = int(min(one.sizes()[one.sizes() > 0].min() for one in populations))
    found = find_isolated(_cut(*populations), limit)
    columns = [(parts[:, place] == cell).astype(int) for place in range(3) for cell in set(parts[:, place])]
    some = np.array(list(product((-1, 0, 1), repeat=min(len(columns), 7))))
    resting = (some @ np.array(columns[:7]) != 0).sum(axis=1)
    if found.freedom == 0:
        weights = np.abs(some @ np.array(columns[:7])).max(axis=1)
        assert not ((resting > 0) & (resting < limit) & (weights == 1)).any()
    assert all(each.entities < limit for each in found.found)


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 5)), min_size=1, max_size=80))
def test_overlaps_are_those_that_sets_have(people: list[tuple[int, int]]) -> None:
    parts = np.array(people)
    one, two = layers(parts[:, 0]), layers(parts[:, 1])
    found = compare(one, two)
    for first, second, differ in zip(found.first, found.second, found.differ, strict=True):
        left = parts[:, 0] >= 0 if first == one.count else parts[:, 0] == first
        right = parts[:, 1] >= 0 if second == two.count else parts[:, 1] == second
        assert differ == (left ^ right).sum()
    met = {(int(a), int(b)) for a, b in zip(found.first, found.second, strict=True) if a < one.count and b < two.count}
    assert met == {(a, b) for a, b in people if a >= 0 and b >= 0}


def test_many_cells_are_counted_without_a_table_of_all_pairs() -> None:
    rng = np.random.default_rng(3)
    one, two = layers(rng.integers(0, 3_000, 20_000)), layers(rng.integers(0, 3_000, 20_000))
    assert (one.count + 1) * (two.count + 1) > DENSE
    found = compare(one, two)
    first, second = one.cells[0] == found.first[5] + 1, two.cells[0] == found.second[5] + 1
    assert found.differ[5] == (first ^ second).sum()

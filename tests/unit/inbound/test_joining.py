"""What a list gives away: no pseudonym can be traced to fewer people than the limit, whatever lists are brought."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desensitize.transform.techniques import Pseudonymize
from sandbox.inbound.joining import enter, measure_linkage, measure_match, pseudonyms
from shuzha.core.errors import Invalid

KEY = b"k" * 32


def table(keys: list[str], **others: list[object]) -> pl.DataFrame:
    return pl.DataFrame({"who": keys, **others})


def test_classes_are_of_everything_that_enters_beside_the_pseudonym() -> None:
    keys = [f"p{n}" for n in range(12)]
    assert measure_linkage((table(keys),), "who", 10).smallest == 12
    halves = table(keys, side=["a", "b"] * 6)
    assert (measure_linkage((halves,), "who", 6).below, measure_linkage((halves,), "who", 7).below) == (0, 2)
    both = halves.with_columns(third=pl.Series([None, None, 1] * 4))
    assert measure_linkage((both,), "who", 2).smallest == 2


def test_who_is_left_out_of_the_second_list_is_told_by_it() -> None:
    first, second = table([f"p{n}" for n in range(20)]), table([f"p{n}" for n in range(19)])
    assert measure_linkage((first,), "who", 10).below == 0
    assert measure_linkage((second,), "who", 10).below == 0
    found = measure_linkage((first, second), "who", 10)
    assert (found.people, found.smallest, found.below) == (20, 1, 1)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.integers(0, 25).map("p{}".format), st.sampled_from([None, "a", "b"]), min_size=1),
        min_size=1, max_size=3,
    ),
    st.integers(2, 6),
)  # fmt: skip
def test_linkage_is_what_counting_each_persons_profile_gives(lists: list[dict[str, str | None]], least: int) -> None:
    everybody = {who for one in lists for who in one}
    profiles = Counter(tuple((who in one, one.get(who)) for one in lists) for who in everybody)
    tables = [table(list(one), value=pl.Series(list(one.values()), dtype=pl.String)) for one in lists]  # type: ignore[arg-type]
    found = measure_linkage(tables, "who", least)
    assert found.people == len(everybody)
    assert found.classes == len(profiles)
    assert found.smallest == min(profiles.values())
    assert found.below == sum(size < least for size in profiles.values())


def test_match_counts_people_of_each_class_that_the_release_has(tmp_path: Path) -> None:
    data = tmp_path / "data.parquet"
    pl.DataFrame({"who": [f"p{n}" for n in range(12)] * 3}).write_parquet(data)
    listed = table([f"p{n}" for n in range(11)] + [f"x{n}" for n in range(9)], side=["a"] * 10 + ["b"] * 10)
    found = measure_match((listed,), "who", data, 10)
    assert (found.people, found.matched, found.smallest, found.below) == (20, 11, 1, 1)
    nobody = measure_match((table([f"x{n}" for n in range(20)]),), "who", data, 10)
    assert (nobody.matched, nobody.smallest, nobody.below) == (0, 0, 0)


def test_pseudonyms_are_the_releases_own_and_say_nothing_of_order() -> None:
    raw = pl.Series([" 37010219800101003x", "370102198001010021"])
    made = pseudonyms(raw, Pseudonymize(normalize=True), KEY)
    assert (
        made.to_list()
        == pseudonyms(
            pl.Series(["37010219800101003X", "370102198001010021"]), Pseudonymize(normalize=True), KEY
        ).to_list()
    )
    assert not set(made) & set(raw)
    entered = enter(pl.DataFrame({"id": raw, "v": [1, 2]}), ["v"], "who", made)
    assert entered.columns == ["who", "v"]
    assert entered["who"].is_sorted()
    assert sorted(entered.rows()) == sorted(zip(made, [1, 2], strict=True))


@pytest.mark.parametrize(
    ("values", "said"), [(["a", None], "1 rows have no key"), (["a", " A"], "1 rows repeat a key")]
)
def test_a_key_that_is_none_is_refused_by_count(values: list[str | None], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        pseudonyms(pl.Series(values, dtype=pl.String), Pseudonymize(normalize=True), KEY)

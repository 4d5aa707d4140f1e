"""What is counted against a quota: never more than the limit, in no span but its own, whoever asks at once."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import Period
from products.serving.limits import Allowance, GrantLimits, Pool, span_of

EVENING = dt.datetime(2026, 11, 30, 15, 59, 59, tzinfo=dt.UTC)  # 23:59:59 in the city
MIDNIGHT = EVENING + dt.timedelta(seconds=1)
POOL = Pool("grt_1", frozenset({"verification"}), Period.DAY)


@pytest.mark.parametrize(
    ("per", "before", "after"),
    [
        (Period.DAY, ("2026-11-30", "2026-12-01"), ("2026-12-01", "2026-12-02")),
        (Period.MONTH, ("2026-11-01", "2026-12-01"), ("2026-12-01", "2027-01-01")),
    ],
)
def test_a_span_begins_and_ends_at_the_citys_midnight(per, before, after):
    found = [(span.first.isoformat(), span.end.isoformat()) for span in (span_of(per, EVENING), span_of(per, MIDNIGHT))]
    assert found == [before, after]


def test_a_term_has_one_span():
    assert span_of(Period.TERM, EVENING) == span_of(Period.TERM, MIDNIGHT + dt.timedelta(days=4_000))


def test_what_failed_yesterday_makes_no_room_today():
    uses = Allowance(Period.DAY, span_of(Period.DAY, EVENING))
    yesterday = uses.reserve(2, 2, EVENING)
    assert uses.reserve(1, 2, EVENING) is None
    assert uses.reserve(2, 2, MIDNIGHT) is not None
    uses.give_back(2, yesterday)
    assert uses.reserve(1, 2, MIDNIGHT) is None


@settings(max_examples=200, deadline=None)
@given(
    limit=st.integers(0, 12), used=st.integers(0, 12),
    steps=st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.integers(0, 3)), max_size=30),
)  # fmt: skip
def test_no_order_of_reserving_and_giving_back_exceeds_the_limit(limit, used, steps):
    uses, day, answered, at = Allowance(Period.DAY, span_of(Period.DAY, EVENING), used), {}, [], EVENING
    first = span_of(Period.DAY, EVENING)
    day[first] = used
    for count, fails, days in steps:
        at += dt.timedelta(days=days == 3)
        span = uses.reserve(count, limit, at)
        fits = day.get(span_of(Period.DAY, at), 0) + count <= limit
        assert (span is not None) is fits
        if span is not None:
            day[span] = day.get(span, 0) + count
            if fails:
                uses.give_back(count, span)
                day[span] -= count
            else:
                answered.append(count)
    assert all(total <= limit for span, total in day.items() if span != first or used <= limit)


async def test_a_pool_is_counted_once_while_everybody_waits_and_never_exceeds_its_limit():
    counted = []

    def used_in(pool, span):
        time.sleep(0.05)
        counted.append((pool, span))
        return 7

    limits, chance, open_now = GrantLimits(used_in), random.Random(4), [7]

    async def use():
        count = chance.choice([1, 1, 1, 3])
        span = await limits.reserve(POOL, count, 30, EVENING)
        if span is None:
            return 0
        open_now[0] += count
        assert open_now[0] <= 30
        await asyncio.sleep(chance.random() / 100)
        if chance.random() < 0.3:
            open_now[0] -= count
            limits.give_back(POOL, count, span)
            return 0
        return count

    done = await asyncio.gather(*(use() for _ in range(300)))
    assert 7 + sum(done) == open_now[0] <= 30
    assert counted == [(POOL, span_of(Period.DAY, EVENING))]


async def test_a_smaller_quota_holds_at_once_and_pools_are_apart():
    limits = GrantLimits(lambda pool, span: 0)
    reports = Pool("grt_1", frozenset({"report"}), Period.DAY)
    assert await limits.reserve(POOL, 5, 5, EVENING) is not None
    assert await limits.reserve(POOL, 1, 4, EVENING) is None
    assert await limits.reserve(reports, 5, 5, EVENING) is not None


async def test_a_count_that_fails_lets_nobody_through_and_is_tried_again():
    answers = [OSError("no table"), 5]

    def used_in(pool, span):
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    limits = GrantLimits(used_in)
    with pytest.raises(OSError, match="no table"):
        await limits.reserve(POOL, 1, 5, EVENING)
    assert await limits.reserve(POOL, 1, 5, EVENING) is None
    assert answers == []

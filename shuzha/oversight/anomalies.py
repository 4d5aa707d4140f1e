"""What looks odd in the hours of use: pure functions from counted hours and limits to oddities.

Each oddity is one consumer's at one product in one span; it says how much was seen and what would have been usual. A
consumer is compared with its own past only, and one without a past has nothing sudden about it.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shuzha.core.clock import CITY_ZONE, city_date
from shuzha.oversight.model import AlertKind
from shuzha.oversight.patterns import Hour

Rules = Mapping[AlertKind, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something odd: whose, at what, in which span (a city date), and the figures that say so."""

    kind: AlertKind
    consumer: str
    product: str
    key: str
    window: str
    figures: dict[str, float]


def find_oddities(hours: Sequence[Hour], now: dt.datetime, rules: Rules) -> tuple[Oddity, ...]:
    """Return what looks odd today and last night, from the hours of as many days as the rules look back."""
    today = city_date(now)
    return (
        *_sudden(hours, today, rules[AlertKind.VOLUME]),
        *_nightly(hours, now, rules[AlertKind.NIGHT]),
        *_negative(hours, today, rules[AlertKind.NEGATIVES]),
    )


def find_many_keys(made: Iterable[tuple[str, dt.datetime]], now: dt.datetime, rules: Rules) -> tuple[Oddity, ...]:
    """Return the organisations that made too many keys today, from (organisation, moment) of each key."""
    today, most = city_date(now), rules[AlertKind.KEYS]["keys_a_day"]
    counts: defaultdict[str, int] = defaultdict(int)
    for organisation, moment in made:
        counts[organisation] += city_date(moment) == today
    return tuple(
        Oddity(AlertKind.KEYS, organisation, "", "", today.isoformat(), {"keys": count, "limit": most})
        for organisation, count in sorted(counts.items())
        if count >= most
    )


def _sudden(hours: Sequence[Hour], today: dt.date, rule: Mapping[str, float]) -> Iterator[Oddity]:
    first = today - dt.timedelta(days=int(rule["days_of_history"]))
    for (consumer, product), days in _by(hours, lambda one: (one.consumer, one.product)).items():
        past = {day: uses for day, uses in days.items() if first <= day < today}
        seen = days.get(today, 0)
        if not past or seen < rule["least_uses"]:
            continue
        usual = sum(past.values()) / len(past)
        if seen >= rule["times_usual"] * usual:
            figures = {"uses": seen, "usual_a_day": round(usual, 1), "times_usual": round(seen / usual, 1)}
            yield Oddity(AlertKind.VOLUME, consumer, product, "", today.isoformat(), figures)


def _by(hours: Iterable[Hour], key: Callable[[Hour], tuple[str, str]]) -> dict[tuple[str, str], dict[dt.date, int]]:
    found: dict[tuple[str, str], dict[dt.date, int]] = {}
    for one in hours:
        days = found.setdefault(key(one), {})
        day = city_date(one.hour)
        days[day] = days.get(day, 0) + one.uses
    return found


def _nightly(hours: Sequence[Hour], now: dt.datetime, rule: Mapping[str, float]) -> Iterator[Oddity]:
    start, end = int(rule["from_hour"]), int(rule["to_hour"])
    length = (end - start) % 24 or 24
    local = now.astimezone(CITY_ZONE)
    began = local.replace(hour=start, minute=0, second=0, microsecond=0)
    if began > local:
        began -= dt.timedelta(days=1)
    night, day_before = began + dt.timedelta(hours=length), began - dt.timedelta(hours=24 - length)
    sums: dict[tuple[str, str], list[int]] = {}
    for one in hours:
        if day_before <= one.hour < night:
            counted = sums.setdefault((one.consumer, one.product), [0, 0])
            counted[0] += one.uses
            counted[1] += one.uses if one.hour >= began else 0
    for (consumer, product), (whole, at_night) in sorted(sums.items()):
        if at_night >= rule["least_uses"] and at_night >= rule["share"] * whole:
            figures = {"uses_at_night": at_night, "uses_in_24_hours": whole, "share": round(at_night / whole, 3)}
            yield Oddity(AlertKind.NIGHT, consumer, product, "", city_date(began).isoformat(), figures)


def _negative(hours: Sequence[Hour], today: dt.date, rule: Mapping[str, float]) -> Iterator[Oddity]:
    sums: dict[tuple[str, str, str], list[int]] = {}
    for one in hours:
        if city_date(one.hour) == today:
            counted = sums.setdefault((one.consumer, one.product, one.key), [0, 0])
            counted[0] += one.uses
            counted[1] += one.negatives
    for (consumer, product, key), (uses, negatives) in sorted(sums.items()):
        if uses >= rule["least_uses"] and negatives >= rule["share"] * uses:
            figures = {"uses": uses, "negative": negatives, "share": round(negatives / uses, 3)}
            yield Oddity(AlertKind.NEGATIVES, consumer, product, key, today.isoformat(), figures)

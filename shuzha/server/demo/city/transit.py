"""The register of transit trips: who with a card entered which station, when."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from shuzha.server.demo.city import draws, vocabulary

_NAMED_SHARE = 0.55
# Weight of each hour of the day: two peaks.
_HOURS = (0.1, 0, 0, 0, 0, 0.4, 2, 7, 9, 5, 3, 3, 4, 3, 3, 3.5, 5, 8.5, 8, 5, 3.5, 3, 2, 0.8)


def transit_trips(random: np.random.Generator, count: int, residents: pl.DataFrame, latest: dt.date) -> pl.DataFrame:
    """Return `count` trips of the month of `latest`; about half of the cards are registered to a resident."""
    cards = max(1, len(residents) // 3)
    holder = random.permutation(len(residents))[:cards] if len(residents) else np.array([], dtype=np.int64)
    named = (random.random(cards) < _NAMED_SHARE) & (np.arange(cards) < len(holder))
    card = np.minimum((cards * random.random(count) ** 1.7).astype(np.int64), cards - 1)
    owner = (
        residents["resident_id"].gather(holder[np.minimum(card, len(holder) - 1)])
        if len(holder)
        else pl.Series([None] * count, dtype=pl.String)
    )
    line = draws.places(random, [weight for _, weight in vocabulary.LINES], count)
    stop = draws.places(random, draws.falling(vocabulary.STATIONS_PER_LINE), count)
    stations = [
        f"{street[:-1]}{line_name[0]}{number:02d}站"
        for line_name, _ in vocabulary.LINES
        for number, street in enumerate(_streets())
    ]
    frame = pl.DataFrame(
        {
            "card": pl.Series(4_270_000_000_000_000 + 7_919 * card).cast(pl.String),
            "owner": owner,
            "named": pl.Series(named[card]),
            "time": _times(random, count, latest),
            "line": draws.pick([name for name, _ in vocabulary.LINES], line),
            "station": draws.pick(stations, line * vocabulary.STATIONS_PER_LINE + stop),
        }
    )
    return frame.select("card", pl.when("named").then("owner").alias("resident_id"), "time", "line", "station").sort(
        "time", maintain_order=True
    )


def _streets() -> tuple[str, ...]:
    return vocabulary.STREETS[: vocabulary.STATIONS_PER_LINE]


def _times(random: np.random.Generator, count: int, latest: dt.date) -> pl.Series:
    first = dt.date(latest.year, latest.month, 1)
    following = dt.date(latest.year + latest.month // 12, latest.month % 12 + 1, 1)
    day = draws.integers(random, 0, (following - first).days, count)
    seconds = day * 86_400 + draws.places(random, _HOURS, count) * 3_600 + draws.integers(random, 0, 3_600, count)
    return pl.Series(np.datetime64(first, "us") + seconds.astype("timedelta64[s]"))

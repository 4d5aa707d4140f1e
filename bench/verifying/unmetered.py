"""The consumer API with a meter that keeps nothing: all else of the path is the same.

python unmetered.py --settings FILE
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from products.serving import __main__ as serving
from shuzha.metering.client import Told, UsageClient
from shuzha.metering.events import Point, Recorded, Series, UsageEvent, join


class NullClient(UsageClient):
    """Says at once that an event is on disk, which it is not."""

    def __init__(self, socket: Path) -> None:
        super().__init__(socket)
        self._count = 0

    def send(self, series: Series, point: Point, told: Told) -> bool:
        self._count += 1
        told(point, self._count)
        return True

    async def record(self, event: UsageEvent) -> Recorded:
        self._count += 1
        return Recorded(event.usage_id, self._count, event.answer, False)

    async def record_points(self, points: Iterable[tuple[Series, Point]]) -> list[Recorded]:
        return [await self.record(join(*each)) for each in points]

    async def record_all(self, events: Iterable[UsageEvent]) -> list[Recorded]:
        return [await self.record(event) for event in events]


if __name__ == "__main__":
    serving.UsageClient = NullClient
    sys.exit(serving.main(sys.argv[1:]))

"""Which metered fetches put a copy into a buyer's hands: the evidence beside a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from products.forms.store import Delivery
from shuzha.core.errors import NotFound
from shuzha.metering.reports import UsageQuery, UsageReader

MOST: Final = 20


class FetchesOf:
    """Reads the meter's table below a folder each time it is asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, product: str, buyer: str) -> tuple[Delivery, ...]:
        """Return the newest fetches of a product by an organisation; none where nothing was metered."""
        try:
            reader = UsageReader(self._folder)
        except NotFound:
            return ()
        try:
            found = reader.list_uses(UsageQuery(consumer=buyer, product=product), limit=MOST)
        finally:
            reader.close()
        return tuple(Delivery(one.usage_id, one.log_index, one.occurred_at) for one in found)

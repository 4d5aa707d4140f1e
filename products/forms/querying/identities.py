"""Who stands behind raw rows, for the memory: the raw entity keys' own hashes, made once a version and grant."""

from __future__ import annotations

import polars as pl

from sandbox.airlock.inputs import Source
from sandbox.airlock.memory.identity import PlatformIdentities


class RawIdentities(PlatformIdentities):
    """The identities of sources that are raw rows; sources of releases are never asked of them."""

    _kept: tuple[tuple[str, int, str], pl.DataFrame] | None = None

    def of_release(self, source: Source) -> pl.LazyFrame:
        """Return each entity of the entry's raw rows with its hash, as releases of it have them too."""
        key = (source.entry, source.version, source.grant)
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, self.of_entry(source).collect())
        known = self._kept[1]
        return known.lazy()

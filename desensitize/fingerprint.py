"""One SHA-256 for the content of a table, whatever the order of its rows.

Each row is written as one JSON object without blanks, its cells as text (or null) under the keys "0", "1", … in the
order of the columns, and hashed with SHA-256; the hexadecimal row hashes are sorted and hashed together, after one
line that names the columns.
"""

from __future__ import annotations

import hashlib
import json

import polars as pl
import polars_hash as plh

from desensitize.tables import collect

_CHUNK = 500_000


def hash_content(table: pl.LazyFrame) -> tuple[str, int]:
    """Return (SHA-256 of the content in hexadecimal, number of rows)."""
    names = table.collect_schema().names()
    digest = hashlib.sha256((json.dumps(names, ensure_ascii=False) + "\n").encode())
    if not names:
        return digest.hexdigest(), 0
    cells = [pl.col(name).cast(pl.String).alias(str(position)) for position, name in enumerate(names)]
    row = pl.struct(cells).struct.json_encode().alias("row")
    rows = table.select(row).select(plh.col("row").chash.sha2_256())
    hashes = collect(rows).to_series().sort()
    for start in range(0, len(hashes), _CHUNK):
        digest.update(hashes.slice(start, _CHUNK).str.join("").item().encode())
    return digest.hexdigest(), len(hashes)

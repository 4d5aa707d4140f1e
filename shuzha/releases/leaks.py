"""What a release lets pass without anybody having judged it: identifiers that the sheet's scan never saw.

Roles are judged by the scan of a sample, and a later batch may hold more: mobile numbers in a column of remarks without
any, resident IDs where account numbers stood. So what passes unchanged is scanned once more, in the finished table.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

import desensitize
from desensitize.identifiers.definitions import BY_ENTITY, DIRECT
from desensitize.transform.plan import Plan
from desensitize.transform.techniques import Keep
from shuzha.catalog.model import Entry
from shuzha.core.errors import Invalid

RULE = "release.leak"


def check_leaks(data: Path, plan: Plan, entry: Entry) -> None:
    """Refuse a written table of which a column that the plan keeps holds identifiers of people unknown to its scan.

    What the scan of the entry's sample found was judged by a person who gave a reason, and passes. Of text any such
    cell counts, of numbers only where many have the form.
    """
    table = pl.scan_parquet(data, glob=False)
    schema = table.collect_schema()
    kept = [
        name for name, technique in plan.columns.items()
        if isinstance(technique, Keep) and (schema[name] == pl.String or schema[name].is_integer())
    ]  # fmt: skip
    for column in desensitize.scan(table.select(kept)):
        finding = entry.scan.find(column.name) if entry.scan else None
        known = finding.types if finding else ()
        many = column.mixed or any(found.how in ("is", "named") for found in column.entities)
        for found in column.entities:
            identifier = BY_ENTITY.get(found.entity)
            if identifier is None or identifier.role != DIRECT or found.entity in known:
                continue
            if many or schema[column.name] == pl.String:
                raise Invalid(
                    f"column `{column.name}` of entry {entry.code} passes unchanged, and its data hold {found.entity}, "
                    "which the scanned sample did not", rule=RULE,
                    accepted="a scan of a newer sample, and the role that it proposes or the element's reason",
                )  # fmt: skip

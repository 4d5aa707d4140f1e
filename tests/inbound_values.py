"""Import requests as values, for tests of what is pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from sandbox.inbound.model import ImportColumn, ImportRequest, ImportState, Origin, Wanted


def column(name: str, **changes: object) -> ImportColumn:
    return replace(ImportColumn(name, "text", "other", 1), **changes)  # type: ignore[arg-type]


def request(**changes: object) -> ImportRequest:
    made = ImportRequest(
        id="imp_1", workspace="wsp_1", workspace_name="w-1", author="acc_zhao", organisation="org_operator",
        authorization="aut_1", demand="dem_1", grant="grt_1", entry="ent_1", provider="org_provider",
        file_name="file.csv", size=1, sha256="0" * 64, state=ImportState.SCREENED,
        created_at=dt.datetime(2026, 3, 2, tzinfo=dt.UTC),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def wish(**changes: object) -> Wanted:
    return replace(Wanted("customers", "why", Origin.OWN, "on what basis", ()), **changes)  # type: ignore[arg-type]

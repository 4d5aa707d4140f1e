"""The risk certificate of a release: what was found, done and measured, on which input and output, by which versions.

It is plain data for JSON, without time and signature: the same release always has the same certificate, and whoever
issues it signs it.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from desensitize.fingerprint import CONTENT_HASH_VERSION, hash_content
from desensitize.risk.measures import Risk
from desensitize.tables import run_quietly
from desensitize.transform.keys import SecretKey
from desensitize.transform.plan import Plan
from desensitize.transform.techniques import KEYED

ENGINE_VERSION = "0.1.0"
CERTIFICATE_VERSION = 1
CERTIFICATE_FILE = "certificate.json"
# The hash of a table of very few rows can be found again by trying rows, so it is not published.
LEAST_ROWS_TO_HASH = 20


@dataclass(frozen=True, slots=True)
class Measurement:
    """What anonymization did and measured, for the certificate."""

    k: int
    levels: Mapping[str, int]
    suppressed: int
    loss: float
    optimal: bool
    gap: float
    visited: int
    risk: Risk


def certify(
    source: pl.LazyFrame,
    written: pl.LazyFrame,
    plan: Plan,
    key: SecretKey | None = None,
    measurement: Measurement | None = None,
    found: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the certificate of the release `written`, made from `source` by `plan`, as plain values for JSON.

    It reads every row of both tables. The key goes in as its fingerprint only, and only where it was used.
    """
    risk = measurement.risk if measurement else None
    return {
        "kind": "desensitization certificate",
        "version": CERTIFICATE_VERSION,
        "engine": _versions(),
        "input": run_quietly(lambda: describe(source)),
        "output": run_quietly(lambda: describe(written)),
        "found": dict(found) if found is not None else None,
        "done": _list_done(plan, key, measurement),
        "measured": risk.to_dict() if risk else None,
        "limits": asdict(risk.limits) if risk else None,
        "level": risk.level if risk else None,
        "meets_limits": risk.meets if risk else None,
    }


def describe(table: pl.LazyFrame) -> dict[str, Any]:
    """Return a table's number of rows, its columns with their types, and the hash of its content.

    The hash is withheld, and that is said, where so few rows could be guessed from it.
    """
    content, rows = hash_content(table)
    schema = table.collect_schema()
    described: dict[str, Any] = {
        "rows": rows,
        "columns": [{"name": name, "type": str(dtype)} for name, dtype in schema.items()],
        "content_sha256": content if rows >= LEAST_ROWS_TO_HASH else None,
        "content_hash_version": CONTENT_HASH_VERSION,
    }
    if rows < LEAST_ROWS_TO_HASH:
        described["content_sha256_withheld"] = f"fewer than {LEAST_ROWS_TO_HASH} rows: the hash could be guessed"
    return described


def _list_done(plan: Plan, key: SecretKey | None, measurement: Measurement | None) -> dict[str, Any]:
    done: dict[str, Any] = {"plan": plan.to_dict()}
    if key is not None and any(isinstance(each, KEYED) for each in plan.columns.values()):
        done["key_fingerprint"] = key.fingerprint()
    if measurement is not None:
        parts = asdict(replace(measurement, risk=None))  # type: ignore[arg-type]
        done["anonymized"] = {name: value for name, value in parts.items() if name != "risk"}
    return done


def _versions() -> dict[str, str]:
    return {"desensitize": ENGINE_VERSION, "polars": pl.__version__, "python": platform.python_version()}

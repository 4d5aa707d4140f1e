"""The risk certificate of a release: what was found, done and measured, on which input and output, by which versions.

It is plain data for JSON, without time and signature: the same release always has the same certificate, and whoever
issues it signs it.
"""

from __future__ import annotations

import hmac
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from desensitize.errors import InvalidInput
from desensitize.fingerprint import CONTENT_HASH_VERSION, hash_content
from desensitize.risk.measures import Risk, class_sizes, measure_risk
from desensitize.risk.utility import Utility, measure_utility
from desensitize.tables import Table, open_table, run_quietly
from desensitize.transform.keys import SecretKey
from desensitize.transform.plan import Plan
from desensitize.transform.sentences import LANGUAGES
from desensitize.transform.techniques import KEYED

ENGINE_VERSION = "0.1.0"
CERTIFICATE_VERSION = 2
CERTIFICATE_FILE = "certificate.json"
KINDS = ("desensitization certificate", "risk report")
VERSIONS = (1, CERTIFICATE_VERSION)
# After these an entity's column still tells its rows apart.
_ONE_TO_ONE = ("keep", "pseudonymize", "encrypt")
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
    described = run_quietly(lambda: describe(source)), run_quietly(lambda: describe(written))
    compared = (None, None) if risk is None else compare_risk(risk, source, written)
    return assemble(*described, plan, key, measurement, found, *compared)


def assemble(
    source: Mapping[str, Any],
    written: Mapping[str, Any],
    plan: Plan,
    key: SecretKey | None = None,
    measurement: Measurement | None = None,
    found: Mapping[str, Any] | None = None,
    before: Risk | None = None,
    utility: Utility | None = None,
) -> dict[str, Any]:
    """Return the certificate of a release whose input and output are described already, by `describe_content`."""
    return {
        "kind": "desensitization certificate",
        "version": CERTIFICATE_VERSION,
        "engine": _versions(),
        "input": _bind_input(source, key),
        "output": dict(written),
        "found": dict(found) if found is not None else None,
        "done": _list_done(plan, key, measurement),
        **_judge(measurement.risk if measurement else None, before, utility),
    }


def report(table: Table, risk: Risk, original: Table | None = None) -> dict[str, Any]:
    """Return what was measured on a table that this engine did not make, laid out as in a certificate.

    With `original`, also the risk before and what is left of each column.
    """
    written = open_table(table)
    source = None if original is None else open_table(original)
    return {
        "kind": "risk report",
        "version": CERTIFICATE_VERSION,
        "engine": _versions(),
        "input": None if source is None else _bind_input(run_quietly(lambda: describe(source)), None),
        "output": run_quietly(lambda: describe(written)),
        "found": None,
        "done": None,
        **_judge(risk, *((None, None) if source is None else compare_risk(risk, source, written))),
    }


def compare_risk(risk: Risk, source: pl.LazyFrame, written: pl.LazyFrame) -> tuple[Risk | None, Utility]:
    """Return the risk that the source had on the same columns, None where it lacks one, and the utility kept."""
    names = source.collect_schema().names()
    needed = [*risk.quasi_identifiers, *([risk.entity] if risk.entity else [])]
    before = None
    if all(name in names for name in needed):
        before = measure_risk(source, risk.quasi_identifiers, risk.entity, limits=risk.limits)
    return before, run_quietly(lambda: measure_utility(source, written))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked: `holds` is None where the table at hand cannot tell, and `why` says so."""

    what: str
    holds: bool | None
    why: str = ""


def verify(table: Table, certificate: Mapping[str, Any]) -> tuple[Check, ...]:
    """Return whether a table is the one that an engine's certificate is about, and whether its classes are as it says.

    Rows, columns, content hash and every class are counted again. Where the table no longer tells whose a row is,
    classes are compared by their rows alone. Refuses what is no certificate of this engine.
    """
    if certificate.get("kind") not in KINDS or not isinstance(certificate.get("output"), Mapping):
        raise InvalidInput(f"this is no certificate of the engine; its kind must be one of: {', '.join(KINDS)}")
    if certificate.get("version") not in VERSIONS:
        raise InvalidInput(f"the certificate's version must be one of: {', '.join(map(str, VERSIONS))}")
    lazy = open_table(table)
    said, found = certificate["output"], run_quietly(lambda: describe(lazy))
    checks = [
        Check("rows", found["rows"] == said["rows"]),
        Check("columns", found["columns"] == said["columns"]),
    ]
    if said.get("content_sha256") is None:
        checks.append(Check("content", None, "the hash was withheld: too few rows"))
    else:
        checks.append(Check("content", found["content_sha256"] == said["content_sha256"]))
    measured = certificate.get("measured")
    if measured is None:
        return (*checks, Check("classes", None, "no risk was measured"))
    return (*checks, _verify_classes(lazy, measured, (certificate.get("done") or {}).get("plan") or {}))


def _verify_classes(table: pl.LazyFrame, measured: Mapping[str, Any], plan: Mapping[str, Any]) -> Check:
    columns, entity = measured["quasi_identifiers"], measured["entity"]
    names = table.collect_schema().names()
    if not all(name in names for name in columns):
        return Check("classes", False, "a quasi-identifier is not in the table")
    step = plan.get("columns", {}).get(entity, {"technique": "keep"})
    told = entity is None or (entity in names and step.get("technique") in _ONE_TO_ONE)
    sizes = class_sizes(table, columns, entity if told else None)
    smallest = int(sizes["size"].min() or 0)  # type: ignore[arg-type]
    if told and (sizes.height, smallest) == (measured["classes"], measured["smallest_class"]):
        return Check("classes", holds=True)
    # One person's several ways of writing himself have pseudonyms of their own, so there may be more of them.
    if told and (step["technique"] == "keep" or step.get("normalize")):
        return Check("classes", holds=False)
    as_said = sizes.height == measured["classes"] and smallest >= measured["smallest_class"]
    return Check("classes", as_said, "counted by rows: the table does not say whose they are")


def _judge(risk: Risk | None, before: Risk | None, utility: Utility | None) -> dict[str, Any]:
    return {
        "measured": risk.to_dict() if risk else None,
        "measured_before": before.to_dict() if before else None,
        "utility": utility.to_dict() if utility else None,
        "limits": asdict(risk.limits) if risk else None,
        "level": risk.level if risk else None,
        "meets_limits": risk.meets if risk else None,
    }


def describe(table: pl.LazyFrame) -> dict[str, Any]:
    """Return a table's number of rows, its columns with their types, and the hash of its content.

    The hash is withheld, and that is said, where so few rows could be guessed from it.
    """
    return describe_content(*hash_content(table), table.collect_schema())


def describe_content(content: str, rows: int, schema: Mapping[str, pl.DataType]) -> dict[str, Any]:
    """Return the description of a table whose content is hashed already."""
    described: dict[str, Any] = {
        "rows": rows,
        "columns": [{"name": name, "type": _name_type(dtype)} for name, dtype in schema.items()],
        "content_sha256": content if rows >= LEAST_ROWS_TO_HASH else None,
        "content_hash_version": CONTENT_HASH_VERSION,
    }
    if rows < LEAST_ROWS_TO_HASH:
        described["content_sha256_withheld"] = f"fewer than {LEAST_ROWS_TO_HASH} rows: the hash could be guessed"
    return described


def _name_type(dtype: pl.DataType) -> str:
    # An Enum's own name lists its values.
    return "Enum" if isinstance(dtype, pl.Enum) else str(dtype)


def _bind_input(described: Mapping[str, Any], key: SecretKey | None) -> dict[str, Any]:
    """Return the description of an input with its content hash under the key, or without it where there is no key.

    A release says nearly all of its input. Whoever has it could try what is left (a dropped yes or no, a left out row)
    until the plain hash is met.
    """
    bound = dict(described)
    if bound["content_sha256"] is None:
        return bound
    bound["content_sha256_withheld"] = "the input could be guessed from its hash and the release"
    if key is not None:
        subkey = key.derive("input content")
        bound["content_hmac_sha256"] = hmac.new(subkey, bound["content_sha256"].encode(), "sha256").hexdigest()
    bound["content_sha256"] = None
    return bound


def _list_done(plan: Plan, key: SecretKey | None, measurement: Measurement | None) -> dict[str, Any]:
    done: dict[str, Any] = {"plan": plan.to_dict(), "sentences": {name: plan.describe(name) for name in LANGUAGES}}
    if key is not None and any(isinstance(each, KEYED) for each in plan.columns.values()):
        done["key_fingerprint"] = key.fingerprint()
    if measurement is not None:
        parts = asdict(replace(measurement, risk=None))  # type: ignore[arg-type]
        done["anonymized"] = {name: value for name, value in parts.items() if name != "risk"}
    return done


def _versions() -> dict[str, str]:
    return {"desensitize": ENGINE_VERSION, "polars": pl.__version__, "python": platform.python_version()}

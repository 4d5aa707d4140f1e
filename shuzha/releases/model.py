"""A release: its lifecycle, its record, and what its certificate does not promise.

Words: a *release* is the table of one grant at one version of the raw data, of one *kind*: the desensitized *rows*, or
*synthetic* ones under differential privacy, which are nobody's; its *certificate* says what was found, done and
measured, and is signed over its bytes; *destruction* removes the files and, with the demand's last release, the
scenario's key.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from shuzha.catalog.value_domain import ValueDomain
from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move


class ReleaseState(StrEnum):
    """Where a release stands; only a ready one is ever mounted."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"
    DESTROYED = "destroyed"


_S = ReleaseState
RELEASE: Lifecycle[ReleaseState] = Lifecycle(
    "release",
    ReleaseState,
    _S.BUILDING,
    (
        Move("build", (_S.BUILDING,), _S.READY, "operator"),
        Move("fail", (_S.BUILDING,), _S.FAILED, "operator"),
        Move("destroy", (_S.BUILDING, _S.READY, _S.FAILED), _S.DESTROYED),
    ),
)
STANDING = frozenset({ReleaseState.BUILDING, ReleaseState.READY})


class ReleaseKind(StrEnum):
    """What the rows of a release are: the grant's own, desensitized, or nobody's, drawn from noisy marginals."""

    ROWS = "rows"
    SYNTHETIC = "synthetic"


METHODS = ("aim", "mst")
SYNTHETIC_RULE = "release.synthetic"
MOST_ROWS_PER_ENTITY = 1_000
LEAST_EPSILON = 0.01


@dataclass(frozen=True, slots=True)
class SyntheticOptions:
    """What a synthetic release is to cost and hold; `delta` is the platform's, by the entry's budget.

    At most `rows_per_entity` rows of one entity are looked at, drawn at random. `domains` are of columns whose domain
    the entry's sheet does not say, or says otherwise; the columns `without` are left out.
    """

    epsilon: float
    delta: float = 0.0
    rows_per_entity: int = 1
    method: str = "aim"
    without: tuple[str, ...] = ()
    domains: Mapping[str, ValueDomain] = field(default_factory=dict)


def check_options(options: SyntheticOptions) -> None:
    """Refuse an unknown method, a number of rows that bounds nothing, and an epsilon that buys noise alone."""
    if not LEAST_EPSILON <= options.epsilon < math.inf:
        raise Invalid(
            "the epsilon of a synthetic release buys nothing, or is no number", rule=SYNTHETIC_RULE,
            accepted=f"a finite number of at least {LEAST_EPSILON}",
        )  # fmt: skip
    if options.method not in METHODS:
        raise Invalid("the method of a synthetic release is unknown", rule=SYNTHETIC_RULE, accepted=", ".join(METHODS))
    if not 1 <= options.rows_per_entity <= MOST_ROWS_PER_ENTITY:
        raise Invalid(
            "the number of rows of one entity is out of range",
            rule=SYNTHETIC_RULE,
            accepted=f"1 to {MOST_ROWS_PER_ENTITY:,}",
        )


@dataclass(frozen=True, slots=True)
class Release:
    """One release: `name` is what notebooks call it, `sha256` that of its data file, `certificate` the signed JSON.

    `synthetic` is what was asked for where `kind` is synthetic, else None.
    """

    id: str
    name: str
    grant: str
    demand: str
    authorization: str
    operator: str
    provider: str
    entry: str
    entry_version: int
    scope_version: str
    raw_version: int
    requested_by: str
    requested_at: dt.datetime
    state: ReleaseState
    folder: str
    rows: int = 0
    columns: tuple[str, ...] = ()
    plan_toml: str = ""
    certificate: str = ""
    signature: str = ""
    sha256: str = ""
    ready_at: dt.datetime | None = None
    reason: str = ""
    kind: ReleaseKind = ReleaseKind.ROWS
    synthetic: SyntheticOptions | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True)
class RiskPolicy:
    """What a release has to meet; the authority's choice. Modes and their sources are the engine's (GB/T 42460).

    `free_text` is `redact` (names are found by a tagger: 2 to 4 ms for each distinct text) or `drop`. `joined` says
    what becomes of a release that is within its limits alone, but not together with the earlier ones of its scenario,
    which someone may have kept: `state` says so in the certificate, `refuse` does not release it.
    """

    mode: str = "enclave"
    k: int = 3
    suppression_limit: float = 0.02
    free_text: Literal["redact", "drop"] = "redact"
    joined: Literal["state", "refuse"] = "state"


NOT_PROMISED = (
    "identity disclosure only: what is true of a whole class (attribute disclosure) is not measured",
    "joins are measured with earlier releases of the same scenario only: those with other data are not",
    "sensitive values such as amounts pass unchanged; the airlock checks what leaves",
    "redaction of free text finds written forms that it knows; it is no proof of their absence",
)
SYNTHETIC_NOT_PROMISED = (
    "synthetic rows look real and are not: no row may be held against a person, no sum taken for an official figure",
    "only the measured marginals are kept: all other relations are a model's guess",
    "the cost counts in this entry's budget: other entries about the same people have budgets of their own",
    "values outside the stated domains count as missing, numbers and days beyond the edges as the nearest bin",
    "the time that it took is not hidden",
)
NOT_MEASURED = "no quasi-identifier was granted: no risk was measured"

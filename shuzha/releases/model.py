"""A release: its lifecycle, its record, and what its certificate does not promise.

Words: a *release* is the desensitized table of one grant at one version of the raw data; its *certificate* says what
was found, done and measured, and is signed over its bytes; *destruction* removes the files and, with the demand's last
release, the scenario's key.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

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


@dataclass(frozen=True, slots=True)
class Release:
    """One release: `name` is what notebooks call it, `sha256` that of its data file, `certificate` the signed JSON."""

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
NOT_MEASURED = "no quasi-identifier was granted: no risk was measured"

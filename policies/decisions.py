"""The values that a decision is asked with and answered by."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from policies.scopes import Quota


@dataclass(frozen=True, slots=True)
class Resource:
    """The thing that is acted on; an attribute that is unknown stays empty, and what needs it is then denied.

    `organisation` is whose thing it is, `author` the account that made it, `grant` the grant whose scope `data:*` asks.
    """

    kind: str
    id: str = ""
    organisation: str = ""
    author: str = ""
    authorization: str = ""
    grant: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """When, and what with: `at` is an aware moment; the rest is what a grant's scope limits (empty = not given).

    `operation` is view, aggregate, join, train or verify; `place` is workspace or api; `partners` is what the data is
    joined with: ids of entries, or `own-file`.
    """

    at: dt.datetime
    entry: str = ""
    columns: frozenset[str] = frozenset()
    operation: str = ""
    output_kind: str = ""
    purpose: str = ""
    place: str = ""
    partners: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, with a sentence why, the policy line (and agreement clause) behind it, and how long it holds.

    `version` is the hash of the grant's scope (empty for decisions by role alone); the answer may be kept until
    `valid_until`, the next edge of the grant's term or hours. `code` is stable, for translations. `clause` and
    `article` are the agreement's clause and the article behind the answer; `rule` names them too, with the policy line.
    `quota` is what the limiter has to count a use against, together with all uses of the grant as one of `counted`, the
    output kinds whose lines have the same quota; `line` is the number of the policy line that allows.
    """

    allowed: bool
    reason: str
    rule: str
    version: str = ""
    valid_until: dt.datetime | None = None
    code: str = ""
    clause: str = ""
    article: str = ""
    quota: Quota | None = None
    line: int | None = None
    counted: frozenset[str] = frozenset()

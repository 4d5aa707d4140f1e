"""Keyed pseudonyms of whole columns.

The pseudonym of text v is the first characters of `HMAC(subkey, v)` in hexadecimal, where `subkey` is the hexadecimal
text of the key that `SecretKey.derive` makes of "pseudonym", the algorithm and the domain. The key stays inside the
`SecretKey`, which no query plan can carry away.
"""

from __future__ import annotations

import hashlib
import hmac

import polars as pl
import polars_hash as plh

from desensitize.errors import InvalidPlan
from desensitize.transform.columns import work_once
from desensitize.transform.keys import SecretKey
from desensitize.transform.reading import normalize_text
from desensitize.transform.techniques import Pseudonymize


def pseudonymize(expr: pl.Expr, technique: Pseudonymize, key: SecretKey) -> pl.Expr:
    """Return the expression of the pseudonyms of a text expression; null stays null."""
    if technique.algorithm == "hmac-sm3" and "sm3" not in hashlib.algorithms_available:
        raise InvalidPlan("hmac-sm3 needs an OpenSSL with SM3, which this Python does not have; use hmac-sha256")
    if technique.normalize:
        expr = normalize_text(expr)
    return expr.map_batches(_Hasher(technique, key), return_dtype=pl.String, is_elementwise=True)


class _Hasher:
    """The work on one batch. It holds the key object, not its bytes, so that it cannot be serialized either."""

    def __init__(self, technique: Pseudonymize, key: SecretKey) -> None:
        self._technique = technique
        self._key = key

    def __call__(self, values: pl.Series) -> pl.Series:
        technique = self._technique
        subkey = self._key.derive("pseudonym", technique.algorithm, technique.domain).hex()
        if technique.algorithm == "hmac-sm3":
            return work_once(values, lambda column: _hash_sm3(column, subkey, technique.length), share=1.0)
        return work_once(values, lambda column: _hash_sha256(column, subkey, technique.length))


def _hash_sha256(values: pl.Series, subkey: str, length: int) -> pl.Series:
    hashed = values.to_frame("v").select(plh.col("v").chash.hmac_sha256(key=subkey))
    return hashed.to_series().str.head(length)


def _hash_sm3(values: pl.Series, subkey: str, length: int) -> pl.Series:
    start = hmac.new(subkey.encode(), digestmod="sm3")
    made: list[str | None] = []
    for value in values:
        if value is None:
            made.append(None)
            continue
        state = start.copy()
        state.update(value.encode())
        made.append(state.hexdigest()[:length])
    return pl.Series("v", made, dtype=pl.String)

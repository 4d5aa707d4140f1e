"""Keyed pseudonyms of whole columns.

The pseudonym of text v is the first characters of `HMAC(subkey, v)` in hexadecimal, where `subkey` is the
hexadecimal text of `HMAC-SHA-256(key, "shuzha pseudonym 1 " + algorithm + " " + domain)`. The key stays inside a
`SecretKey`, which no query plan can carry away.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NoReturn

import polars as pl
import polars_hash as plh

from desensitize.errors import InvalidPlan
from desensitize.transform.techniques import Pseudonymize

LEAST_KEY_BYTES = 16
_DISTINCT_FIRST_BELOW = 0.5


class SecretKey:
    """A key that prints as nothing and refuses to be copied into a pickle, and so into a serialized query plan."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if not isinstance(key, bytes | bytearray) or len(key) < LEAST_KEY_BYTES:
            raise InvalidPlan(f"a pseudonym key is at least {LEAST_KEY_BYTES} bytes (32 are advised)")
        self._key = bytes(key)

    def __repr__(self) -> str:
        return "SecretKey(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretKey is never serialized")

    def derive(self, purpose: str) -> str:
        """Return the hexadecimal subkey for one purpose."""
        return hmac.new(self._key, purpose.encode(), hashlib.sha256).hexdigest()

    def fingerprint(self) -> str:
        """Return a name for the key that tells nothing about it and is equal for equal keys."""
        return self.derive("shuzha key fingerprint 1")[:16]


def pseudonymize(expr: pl.Expr, technique: Pseudonymize, key: SecretKey) -> pl.Expr:
    """Return the expression of the pseudonyms of a text expression; null stays null."""
    if technique.algorithm == "hmac-sm3" and "sm3" not in hashlib.algorithms_available:
        raise InvalidPlan("hmac-sm3 needs an OpenSSL with SM3, which this Python does not have; use hmac-sha256")
    if technique.normalize:
        expr = expr.str.strip_chars().str.to_uppercase()
    return expr.map_batches(_Hasher(technique, key), return_dtype=pl.String, is_elementwise=True)


class _Hasher:
    """The work on one batch. It holds the key object, not its bytes, so that it cannot be serialized either."""

    def __init__(self, technique: Pseudonymize, key: SecretKey) -> None:
        self._technique = technique
        self._key = key

    def __call__(self, values: pl.Series) -> pl.Series:
        technique = self._technique
        subkey = self._key.derive(f"shuzha pseudonym 1 {technique.algorithm} {technique.domain}")
        work = _hash_sm3 if technique.algorithm == "hmac-sm3" else _hash_sha256
        column = values.alias("v")
        if technique.algorithm == "hmac-sha256" and column.n_unique() > _DISTINCT_FIRST_BELOW * len(column):
            return work(column, subkey).str.head(technique.length).alias(values.name)
        once = column.unique()
        table = pl.DataFrame({"v": once, "p": work(once, subkey).str.head(technique.length)})
        joined = column.to_frame().join(table, on="v", how="left", maintain_order="left")
        return joined["p"].alias(values.name)


def _hash_sha256(values: pl.Series, subkey: str) -> pl.Series:
    return values.to_frame("v").select(plh.col("v").chash.hmac_sha256(key=subkey)).to_series()


def _hash_sm3(values: pl.Series, subkey: str) -> pl.Series:
    start = hmac.new(subkey.encode(), digestmod="sm3")
    made: list[str | None] = []
    for value in values:
        if value is None:
            made.append(None)
            continue
        state = start.copy()
        state.update(value.encode())
        made.append(state.hexdigest())
    return pl.Series("v", made, dtype=pl.String)

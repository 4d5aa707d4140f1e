"""How a subject becomes a key of the index: the same few lines for building and for asking.

A *subject* is a tuple of texts in the order of the specification. Each is normalised (Unicode NFKC, no spaces around,
upper case: `1101…x` and `1101…X` are one number), the tuple is written as netstrings (`18:1101…X`), so that no part can
shift into the next, and hashed by HMAC-SHA-256 (RFC 2104) under the product's own key, cut to 16 bytes: two products'
indexes cannot be joined, and an index without its key says nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from functools import lru_cache
from unicodedata import is_normalized, normalize

HASH_BYTES = 16
MAX_TEXT = 200


def normal(text: str) -> str:
    """Return the form of a text in which subjects are compared."""
    if not text.isascii() and not is_normalized("NFKC", text):
        text = normalize("NFKC", text)
    return text.strip().upper()


def subject_hash(key: bytes, parts: Iterable[str]) -> bytes:
    """Return the 16-byte key of a subject."""
    found = _keyed(key).copy()
    found.update(message(parts))
    return found.digest()[:HASH_BYTES]


def message(parts: Iterable[str]) -> bytes:
    """Return what is hashed of a subject: its normalised parts, each with its length in bytes."""
    made = b""
    for part in parts:
        encoded = normal(part).encode()
        made += b"%d:%b" % (len(encoded), encoded)
    return made


def hash_key(key: bytes) -> str:
    """Return a product's key as HMAC takes it: as hexadecimal text, which is what hashing whole columns knows."""
    return key.hex()


@lru_cache(maxsize=1024)
def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(hash_key(key).encode(), digestmod="sha256")

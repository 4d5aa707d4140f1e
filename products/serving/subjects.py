"""How a subject becomes a key of the index: the same few lines for building and for asking.

A *subject* is a tuple of texts in the order of the specification. Each is normalised (Unicode NFKC, no spaces around,
upper case: `1101…x` and `1101…X` are one number) and the tuple is hashed under the product's own key, so that two
products' indexes cannot be joined and an index without its key says nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from unicodedata import is_normalized, normalize

HASH_BYTES = 16
MAX_TEXT = 200
_PERSON = b"shuzha/index/1"


def normal(text: str) -> str:
    """Return the form of a text in which subjects are compared."""
    if not text.isascii() and not is_normalized("NFKC", text):
        text = normalize("NFKC", text)
    return text.strip().upper()


def subject_hash(key: bytes, parts: Iterable[str]) -> bytes:
    """Return the 16-byte keyed BLAKE2b (RFC 7693) of a subject; parts are length-prefixed, so none can shift."""
    message = bytearray()
    for part in parts:
        encoded = normal(part).encode()
        message += len(encoded).to_bytes(4, "big")
        message += encoded
    return hashlib.blake2b(message, digest_size=HASH_BYTES, key=key, person=_PERSON).digest()

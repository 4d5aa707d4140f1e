"""The copy that a buyer gets: the registered file with its marks, made once and kept beside the original."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from products.forms.marks.tables import mark
from products.forms.service import MARKS_KEY, find_terms
from products.forms.terms import FileTerms, encode_terms
from products.registry.model import Product
from shuzha.core.keys import KeyRing
from shuzha.core.work import Database


@dataclass(frozen=True, slots=True)
class Copy:
    """A buyer's copy: its bytes, their SHA-256 in hex, and whether it carries the buyer's marks."""

    content: bytes
    sha256: str
    marked: bool


class Copies:
    """Makes copies for buyers; the same buyer gets the same bytes each time."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys

    def make(self, product: Product, original: Path, content: bytes, buyer: str) -> Copy:
        """Return the copy of a product's file for an organisation; may take seconds for a large table."""
        terms = find_terms(self._database, product.id)
        if not isinstance(terms, FileTerms):
            return Copy(content, product.evidence.output_sha256, marked=False)
        key = self._keys.derive(MARKS_KEY, product.id)
        # Named by all that the bytes depend on, and by none of it in the clear.
        parts = (product.evidence.output_sha256, encode_terms(terms), buyer)
        name = hashlib.blake2b("\0".join(parts).encode(), key=key, digest_size=20).hexdigest()
        path = original.parent.parent / "marked" / name
        if path.is_file():
            made = path.read_bytes()
        else:
            made = mark(content, terms.marks, key, buyer)
            _keep(path, made)
        return Copy(made, hashlib.sha256(made).hexdigest(), marked=True)


def _keep(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; two processes that make the same copy write the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    number, half = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(number, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(half).replace(path)

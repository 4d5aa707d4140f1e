"""What may be authorized at all: the hard denials of J23 art. 8, and that it stands in the catalogue (J23 art. 7)."""

from __future__ import annotations

from shuzha.catalog.model import RECEIVING, Entry
from shuzha.core.errors import NotAllowed


def check_eligible(entry: Entry) -> None:
    """Refuse an entry that is secret, affects public safety, is closed by law, not published, or suspended."""
    check_lawful(entry)
    if entry.state not in RECEIVING:
        raise NotAllowed(
            f"entry {entry.code} is {entry.state}: it is not in the public catalogue", rule="J23 art. 7",
            accepted="a published entry",
        )  # fmt: skip


def check_lawful(entry: Entry) -> None:
    """Refuse an entry that is never authorized: secret, affecting public safety, or closed by law (J23 art. 8)."""
    if entry.sheet.secret:
        raise NotAllowed(
            f"entry {entry.code} is flagged as a state secret: it is never authorized", rule="J23 art. 8",
            accepted="an entry that is no state secret",
        )  # fmt: skip
    if entry.sheet.endangers_safety:
        raise NotAllowed(
            f"entry {entry.code} is flagged as affecting public safety: it is never authorized", rule="J23 art. 8",
            accepted="an entry that affects no public safety",
        )  # fmt: skip
    if not entry.sheet.authorizing.allowed:
        raise NotAllowed(
            f"entry {entry.code} is closed to authorization", rule="J23 art. 8",
            accepted="an entry whose authorization attribute allows it",
        )  # fmt: skip

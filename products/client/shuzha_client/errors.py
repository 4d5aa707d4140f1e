"""What a call can end with beside its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Problem(Exception):
    """The API refused a call (RFC 9457); it was not charged. `code` is stable, `type` the address of its page."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(document.get("code", "unknown"))
        self.detail = str(document.get("detail", ""))
        self.rule = str(document.get("rule", ""))
        self.accepted = str(document.get("accepted", ""))
        self.trace = str(document.get("trace", ""))
        self.type = str(document.get("type", "about:blank"))
        parts = [f"{status} {self.code}: {self.detail}"]
        parts += [f"accepted: {self.accepted}"] if self.accepted else []
        super().__init__("; ".join(parts))


class Unreachable(Exception):
    """No answer came, however often it was tried; a repeat with the same idempotency key is safe."""

    def __init__(self, message: str, idempotency_key: str = "") -> None:
        super().__init__(message)
        self.idempotency_key = idempotency_key


class NotGenuine(Exception):
    """A signature, a digest or a proof does not hold: do not rely on the answer."""

"""A key: who may call which product for which purposes, how fast and how often.

The secret is 32 random bytes, so its SHA-256 is a safe thing to keep (a slow hash guards guessable secrets only). Its
*prefix* is kept in the clear, for people to recognise it by.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move

MARK = "szk"
SECRET_BYTES = 32
PREFIX_LETTERS = 8
MAX_RATE = 10_000
MAX_QUOTA = 100_000_000
_SHAPE = re.compile(r"szk_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}")


class KeyState(StrEnum):
    """Whether the key opens anything."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


KEY = Lifecycle(
    "key",
    KeyState,
    KeyState.ACTIVE,
    [
        Move("suspend", (KeyState.ACTIVE,), KeyState.SUSPENDED, owner="authority"),
        Move("restore", (KeyState.SUSPENDED,), KeyState.ACTIVE, owner="consumer"),
        Move("revoke", (KeyState.ACTIVE, KeyState.SUSPENDED), KeyState.REVOKED),
    ],
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key of one consumer for one product; `digest` is the SHA-256 of the whole secret text, in hex."""

    id: str
    organisation: str
    author: str
    name: str
    product: str
    purposes: tuple[str, ...]
    prefix: str
    digest: str
    rate: int
    daily_quota: int
    created_at: dt.datetime
    state: KeyState = KeyState.ACTIVE
    reason: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with its secret: the only moment at which the secret can be read."""

    key: ApiKey
    secret: str

    def __repr__(self) -> str:
        return f"NewKey({self.key.id})"


def make_secret() -> tuple[str, str, str]:
    """Return a new secret, its prefix and its digest."""
    prefix = "".join(secrets.choice("abcdefghjkmnpqrstvwxyz0123456789") for _ in range(PREFIX_LETTERS))
    random = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).decode().rstrip("=")
    secret = f"{MARK}_{prefix}_{random}"
    return secret, prefix, digest_of(secret)


def digest_of(secret: str) -> str:
    """Return the digest under which a secret is kept and looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_secret(text: str) -> bool:
    """Return whether the text has the form of a secret."""
    return bool(_SHAPE.fullmatch(text))


def check_limits(rate: int, daily_quota: int) -> None:
    """Refuse limits that are no limits."""
    if not 0 < rate <= MAX_RATE or not 0 < daily_quota <= MAX_QUOTA:
        raise Invalid(
            "a key refuses these limits",
            rule="key.limits",
            accepted=f"1 to {MAX_RATE} calls a second and 1 to {MAX_QUOTA} a day",
        )


def check_purposes(purposes: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    """Refuse a key for no purpose, for one twice, or for one that the product's grant does not name."""
    beyond = sorted(set(purposes) - set(allowed))
    if not purposes or len(set(purposes)) != len(purposes) or beyond:
        what = f"the purpose `{beyond[0]}`" if beyond else "no purpose, or one twice"
        raise Invalid(f"a key refuses {what}", rule="key.purposes", accepted=", ".join(allowed))


def check_name(name: str) -> None:
    """Refuse a key without a name that people know it by."""
    if not name.strip() or len(name) > 120:
        raise Invalid("a key needs a name", rule="key.name", accepted="1 to 120 letters")

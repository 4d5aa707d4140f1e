"""A key: which app may call which products by which operations, for which purposes, from where, until when, how often.

The secret is 32 random bytes, so its SHA-256 is a safe thing to keep (a slow hash guards guessable secrets only). Its
*prefix* is kept in the clear, for people to recognise it by.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move

MARK = "szk"
SECRET_BYTES = 32
PREFIX_LETTERS = 8
MAX_RATE = 10_000
MAX_QUOTA = 100_000_000
MAX_PRODUCTS = 50
MAX_NETWORKS = 20
LONGEST_LIFE = dt.timedelta(days=5 * 366)
LONGEST_OVERLAP = dt.timedelta(days=30)
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


class KeyUse(StrEnum):
    """What a key may be used for: the calls of the consumer API, by name."""

    VERIFY = "verify"
    BATCH = "verify_batch"
    PREDICT = "predict"
    QUERY = "query"
    FILES = "files"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key of one app; `digest` is the SHA-256 of the whole secret text, in hex.

    `product` is the product that the key was made for, and whose authorization's end revokes it; `products` are all
    that it may call. No `uses` means every one, no `networks` every address, no `expires_at` until it is revoked.
    """

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
    app: str = ""
    products: tuple[str, ...] = ()
    uses: tuple[KeyUse, ...] = ()
    networks: tuple[str, ...] = ()
    expires_at: dt.datetime | None = None
    replaces: str = ""
    revision: int = 0

    def covers(self, product: str) -> bool:
        """Return whether the key is for a product."""
        return product == self.product or product in self.products

    def has_expired(self, now: dt.datetime) -> bool:
        """Return whether the key's term is over."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Scope:
    """What a new key is limited to beside its product and purposes; all of it may be left out."""

    app: str = ""
    also: tuple[str, ...] = ()
    uses: tuple[KeyUse, ...] = ()
    networks: tuple[str, ...] = ()
    expires_at: dt.datetime | None = None


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


def read_networks(texts: Sequence[str]) -> tuple[str, ...]:
    """Return networks in their one spelling (RFC 4632, RFC 4291); refuses what is no address or network, and all."""
    found = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            network = None
        if network is None or not network.prefixlen:
            raise Invalid(
                "a key refuses this network", rule="key.networks", field="networks",
                accepted="addresses or networks such as 203.0.113.7 or 203.0.113.0/24; none for every address",
            )  # fmt: skip
        found.append(str(network))
    if len(found) > MAX_NETWORKS:
        raise Invalid("a key refuses so many networks", rule="key.networks", accepted=f"at most {MAX_NETWORKS}")
    return tuple(dict.fromkeys(found))


def check_expiry(expires_at: dt.datetime | None, now: dt.datetime) -> None:
    """Refuse an end that is over, has no zone, or is so far that it is none."""
    if expires_at is None:
        return
    if expires_at.tzinfo is None or not now < expires_at <= now + LONGEST_LIFE:
        raise Invalid(
            "a key refuses this end", rule="key.expires", field="expires_at",
            accepted="a moment from now on, at most five years ahead, with its zone",
        )  # fmt: skip


def check_overlap(overlap: dt.timedelta) -> None:
    """Refuse an overlap in which both keys would open for too long."""
    if not dt.timedelta() <= overlap <= LONGEST_OVERLAP:
        raise Invalid("a rotation refuses this overlap", rule="key.overlap", accepted="0 to 720 hours")

"""Organisations, accounts, sessions, and the rules they keep. Nothing here knows a database, a request or a hash."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from dataclasses import dataclass, replace
from enum import StrEnum

from policies import check_exclusive
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move

IDLE = dt.timedelta(hours=2)
ABSOLUTE = dt.timedelta(hours=12)
TOUCH = dt.timedelta(minutes=1)

FREE_ATTEMPTS = 5
FIRST_WAIT = dt.timedelta(seconds=30)
LONGEST_WAIT = dt.timedelta(minutes=15)
FORGIVEN_AFTER = dt.timedelta(hours=1)

PASSWORD_LENGTH = (12, 128)
PASSWORD_LETTERS = 6
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{2,39}")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,39}")
_GUESSED_FIRST = (
    "password", "passw0rd", "qwerty", "123456", "abc123", "iloveyou", "admin", "letmein", "welcome", "woaini", "shuzha",
)  # fmt: skip


class OrganisationKind(StrEnum):
    """What an organisation is to the city's data."""

    DEPARTMENT = "department"
    PUBLIC_SERVICE = "public_service"
    AUTHORITY = "authority"
    OPERATOR = "operator"
    REGISTRY = "registry"
    REGULATOR = "regulator"
    CONSUMER = "consumer"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Organisation:
    """A legal body; `responsible_person` is the named head who answers for it (J23 art. 18)."""

    id: str
    code: str
    name: str
    name_en: str
    kind: OrganisationKind
    responsible_person: str
    created_at: dt.datetime
    revision: int = 0

    def title(self, language: str) -> str:
        """Return its name in a language."""
        return self.name if language.startswith("zh") else self.name_en or self.name


class AccountState(StrEnum):
    """Whether an account may be used."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


ACCOUNT = Lifecycle(
    "account",
    AccountState,
    AccountState.ACTIVE,
    [
        Move("suspend", (AccountState.ACTIVE,), AccountState.SUSPENDED, owner="administrator"),
        Move("restore", (AccountState.SUSPENDED,), AccountState.ACTIVE),
    ],
)


@dataclass(frozen=True, slots=True)
class Account:
    """One person's account. `handle` is its name in the sandbox's hub: `u-` and letters and digits, never reused."""

    id: str
    login: str
    handle: str
    name: str
    organisation: str
    roles: frozenset[str]
    password_hash: str
    state: AccountState
    created_at: dt.datetime
    revision: int = 0

    @property
    def active(self) -> bool:
        """Whether the account may be used."""
        return self.state == AccountState.ACTIVE

    def actor(self, via: str) -> Actor:
        """Return the person as the one who acts, coming this way."""
        return Actor(self.id, self.name, self.organisation, self.roles, via)


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser or program. It ends by sign-out, by idling, or when its day is over."""

    id: str
    token_hash: str
    account: str
    via: str
    started_at: dt.datetime
    seen_at: dt.datetime
    ended_at: dt.datetime | None = None
    revision: int = 0

    def is_open(self, now: dt.datetime) -> bool:
        """Return whether the session still signs anybody in."""
        return self.ended_at is None and now < self.seen_at + IDLE and now < self.started_at + ABSOLUTE

    def is_stale(self, now: dt.datetime) -> bool:
        """Return whether its last use is old enough to be written down again."""
        return now >= self.seen_at + TOUCH


@dataclass(frozen=True, slots=True)
class Attempts:
    """The sign-in attempts on one login that did not succeed yet; `id` is a hash, so that no typed text is kept."""

    id: str
    count: int
    last_at: dt.datetime
    blocked_until: dt.datetime | None = None
    revision: int = 0

    def wait(self, now: dt.datetime) -> dt.timedelta:
        """Return how long nobody may try this login; zero when trying is free."""
        return max(dt.timedelta(0), self.blocked_until - now) if self.blocked_until else dt.timedelta(0)

    def counted(self, now: dt.datetime) -> Attempts:
        """Return the record with one more attempt, counted before the password is looked at.

        From the fifth on each attempt blocks the login for a wait that doubles, at most fifteen minutes.
        """
        count = 1 if now - self.last_at > FORGIVEN_AFTER else self.count + 1
        extra = count - FREE_ATTEMPTS
        blocked = None if extra < 0 else now + min(FIRST_WAIT * 2 ** min(extra, 10), LONGEST_WAIT)
        return replace(self, count=count, last_at=now, blocked_until=blocked)


def normal_login(text: str) -> str:
    """Return a login as it is compared: NFKC, lower case, without spaces around."""
    return unicodedata.normalize("NFKC", text).strip().lower()


def check_login(login: str) -> None:
    """Refuse a login that is not 3 to 40 of the letters a-z, digits and `._-`."""
    if not _LOGIN.fullmatch(login):
        raise Invalid("the login has an unusable form", rule="account.login", accepted="3 to 40 of a-z, 0-9 and ._-")


def check_password(password: str, login: str, name: str) -> None:
    """Refuse a password that is short, long, monotonous, commonly guessed or made of the login or name."""
    shortest, longest = PASSWORD_LENGTH
    low = unicodedata.normalize("NFKC", password).lower()
    accepted = f"{shortest} to {longest} characters, at least {PASSWORD_LETTERS} different ones, not the login or name"
    if not shortest <= len(password) <= longest or len(set(low)) < PASSWORD_LETTERS:
        raise Invalid("the password is too weak", rule="account.password", accepted=accepted)
    words = [*_GUESSED_FIRST, login.lower(), name.lower()]
    rest = low
    for word in words:
        rest = rest.replace(word, "") if word else rest
    if len(rest) < shortest // 2:
        raise Invalid("the password is one that is guessed first", rule="account.password", accepted=accepted)


def check_account(login: str, name: str, roles: frozenset[str]) -> None:
    """Refuse an account without a usable login, a real name, or with no or excluding roles (Z20 art. 33)."""
    check_login(login)
    if not 1 <= len(name.strip()) <= 80:
        raise Invalid("an account needs its holder's real name", rule="account.name", accepted="1 to 80 characters")
    if not roles:
        raise Invalid("an account needs a role", rule="account.roles", accepted="at least one role")
    check_exclusive(roles)


def check_organisation(code: str, name: str, responsible_person: str) -> None:
    """Refuse an organisation without a usable code, a name or a named responsible person (J23 art. 18)."""
    if not _CODE.fullmatch(code):
        raise Invalid(
            "the organisation's code has an unusable form", rule="organisation.code",
            accepted="2 to 40 letters, digits and ._- (a unified social credit code fits)",
        )  # fmt: skip
    if not name.strip() or not responsible_person.strip():
        raise Invalid("an organisation needs a name and a responsible person", rule="organisation.head (J23 art. 18)")

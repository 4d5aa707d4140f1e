"""The tables of people, and the few statements that are not a plain get, list, add or save."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from shuzha.core.records import Noun
from shuzha.core.work import Work
from shuzha.people.model import ABSOLUTE, ACCOUNT, FORGIVEN_AFTER, Account, Attempts, Organisation, Session

ORGANISATIONS = Noun("organisations", Organisation, unique=[("code",)])
ACCOUNTS = Noun("accounts", Account, lifecycle=ACCOUNT, unique=[("login",), ("handle",)], index=["organisation"])
SESSIONS = Noun("sessions", Session, unique=[("token_hash",)], index=["account"])
ATTEMPTS = Noun("sign_in_attempts", Attempts, index=["last_at"])


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code of the OpenID provider; `id` is its hash. It works once, within its minute."""

    id: str
    client: str
    session: str
    account: str
    redirect_uri: str
    challenge: str
    nonce: str
    expires_at: dt.datetime
    used_at: dt.datetime | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token of the OpenID provider; `id` is its hash. It lives no longer than the session behind it."""

    id: str
    client: str
    code: str
    session: str
    account: str
    expires_at: dt.datetime
    revision: int = 0


CODES = Noun("oidc_codes", Code, index=["expires_at"])
ACCESS_TOKENS = Noun("oidc_tokens", AccessToken, index=["expires_at", "code", "session"])


def find_account(work: Work, login: str) -> Account | None:
    """Return the account of a login in its normal form, or None."""
    return next(iter(work.list(ACCOUNTS, login=login)), None)


def find_session(work: Work, token_hash: str) -> Session | None:
    """Return the session of a token's hash, or None."""
    return next(iter(work.list(SESSIONS, token_hash=token_hash)), None)


def has_accounts(work: Work) -> bool:
    """Return whether there is any account."""
    return work.connection.execute(sa.select(ACCOUNTS.table.c.id).limit(1)).first() is not None


def end_sessions(work: Work, account: str, now: dt.datetime, keep: str = "") -> None:
    """End every open session of an account but one."""
    table = SESSIONS.table
    condition = (table.c.account == account, table.c.ended_at.is_(None), table.c.id != keep)
    work.connection.execute(sa.update(table).where(*condition).values(ended_at=now, revision=table.c.revision + 1))


def forget_attempts(work: Work, identifier: str) -> None:
    """Drop the count of a login that signed in."""
    work.connection.execute(sa.delete(ATTEMPTS.table).where(ATTEMPTS.table.c.id == identifier))


def drop_outlived(work: Work, now: dt.datetime) -> None:
    """Drop counts that are forgiven, and sessions, codes and tokens that are long over."""
    for table, column, before in (
        (ATTEMPTS.table, "last_at", now - FORGIVEN_AFTER),
        (SESSIONS.table, "started_at", now - ABSOLUTE * 14),
        (CODES.table, "expires_at", now - ABSOLUTE),
        (ACCESS_TOKENS.table, "expires_at", now),
    ):
        work.connection.execute(sa.delete(table).where(table.c[column] < before))


def revoke_tokens(work: Work, code: str) -> None:
    """Drop the access tokens that came of a code."""
    work.connection.execute(sa.delete(ACCESS_TOKENS.table).where(ACCESS_TOKENS.table.c.code == code))

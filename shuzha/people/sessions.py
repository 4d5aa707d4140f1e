"""Signing in and out. Attempts are counted before the password is looked at, so that parallel guesses gain nothing."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import math
import secrets
from dataclasses import dataclass, replace

from shuzha.core.actor import Actor
from shuzha.core.clock import Clock
from shuzha.core.errors import NotAllowed
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Work
from shuzha.people.model import PASSWORD_LENGTH, Account, Attempts, Session, normal_login
from shuzha.people.passwords import Passwords
from shuzha.people.store import (
    ACCOUNTS,
    ATTEMPTS,
    SESSIONS,
    drop_outlived,
    find_account,
    find_session,
    forget_attempts,
)

TOKEN_BYTES = 32


class NotSignedIn(NotAllowed):
    """Nobody is signed in by what the request carries, or the sign-in failed."""

    code = "not_signed_in"


class TooManyAttempts(NotAllowed):
    """The login is blocked for a while; `retry_after` says for how many seconds."""

    code = "too_many_attempts"

    def __init__(self, wait: dt.timedelta) -> None:
        self.retry_after = math.ceil(wait.total_seconds())
        super().__init__(
            "cannot sign in: too many attempts on this login",
            rule="session.throttle", accepted=f"another try in {self.retry_after} s",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session: the token is shown this once."""

    account: Account
    session: Session
    token: str


class Sessions:
    """Opens, recognises and ends sessions.

    Its clock is the host's: a person at a keyboard ages by real hours, also while the demo moves the city's date.
    """

    def __init__(self, database: Database, passwords: Passwords, csrf_key: bytes, clock: Clock) -> None:
        self._database = database
        self._passwords = passwords
        self._csrf_key = csrf_key
        self._clock = clock

    def sign_in(self, login: str, password: str, via: str) -> SignedIn:
        """Return a new session of the account that login and password name.

        Refuses a blocked login, and a wrong pair without saying which of the two was wrong.
        """
        login = normal_login(login)
        counter = "try_" + hashlib.sha256(login.encode()).hexdigest()[:26]
        self._count_attempt(counter, via)
        with self._database.read() as work:
            account = find_account(work, login)
        kept = account.password_hash if account is not None and len(password) <= PASSWORD_LENGTH[1] else None
        fits = self._passwords.verify(kept, password[: PASSWORD_LENGTH[1]])
        if account is None or not fits or not account.active:
            self._log_failure(account, via)
            raise NotSignedIn(
                "cannot sign in: the login or the password is wrong", rule="session.sign_in",
                accepted="the login and password of an active account",
            )  # fmt: skip
        return self._open(account, password, counter, via)

    def find(self, token: str) -> tuple[Session, Account] | None:
        """Return the open session of a token with its active account, or None; it counts as use."""
        if not token:
            return None
        now = self._clock.now()
        with self._database.read() as work:
            found = self._find_open(work, token, now)
        if found is not None and found[0].is_stale(now):
            with self._database.work(found[1].actor(found[0].via)) as work:
                again = self._find_open(work, token, now)
                if again is not None:
                    work.save(SESSIONS, replace(again[0], seen_at=now))
                found = again
        return found

    def find_by_id(self, session_id: str) -> tuple[Session, Account] | None:
        """Return an open session by its id with its active account, or None."""
        with self._database.read() as work:
            return self._check_open(work, work.find(SESSIONS, session_id), self._clock.now())

    def sign_out(self, token: str) -> None:
        """End the session of a token; a token of no open session changes nothing."""
        found = self.find(token)
        if found is None:
            return
        with self._database.work(found[1].actor(found[0].via)) as work:
            session = work.get(SESSIONS, found[0].id)
            if session.ended_at is None:
                work.save(SESSIONS, replace(session, ended_at=self._clock.now()))
                work.emit("session:end", session.id, f"account {session.account} signed out")

    def csrf_token(self, token: str) -> str:
        """Return the text that a form of this session carries; another session's does not fit."""
        return hmac.new(self._csrf_key, token_hash(token).encode(), hashlib.sha256).hexdigest()

    def _count_attempt(self, counter: str, via: str) -> None:
        now = self._clock.now()
        with self._database.work(_nobody(via)) as work:
            before = work.find(ATTEMPTS, counter)
            wait = before.wait(now) if before else dt.timedelta(0)
            if not wait:
                after = (before or Attempts(counter, 0, now)).counted(now)
                _ = work.save(ATTEMPTS, after) if before else work.add(ATTEMPTS, after)
                if after.blocked_until is not None:
                    work.emit("session:throttle", counter, f"sign-in attempt {after.count} in a row on one login")
        if wait:
            raise TooManyAttempts(wait)

    def _log_failure(self, account: Account | None, via: str) -> None:
        # What was typed as a login is not logged: people type their password there.
        who = account.actor(via) if account else _nobody(via)
        content = f"sign-in of account {account.id} failed" if account else "sign-in with an unknown login failed"
        with self._database.work(who) as work:
            work.emit("session:fail", who.id, content, method="password")

    def _open(self, account: Account, password: str, counter: str, via: str) -> SignedIn:
        now, token = self._clock.now(), secrets.token_urlsafe(TOKEN_BYTES)
        with self._database.work(account.actor(via)) as work:
            account = work.get(ACCOUNTS, account.id)
            if not account.active:
                raise NotSignedIn("cannot sign in: the account is suspended", rule="account.state")
            if self._passwords.is_outdated(account.password_hash):
                account = work.save(ACCOUNTS, replace(account, password_hash=self._passwords.hash(password)))
            forget_attempts(work, counter)
            drop_outlived(work, now)
            session = work.add(SESSIONS, Session(new_id("ses"), token_hash(token), account.id, via, now, now))
            work.emit("session:start", session.id, f"account {account.id} signed in", method="password")
        return SignedIn(account, session, token)

    def _find_open(self, work: Work, token: str, now: dt.datetime) -> tuple[Session, Account] | None:
        return self._check_open(work, find_session(work, token_hash(token)), now)

    def _check_open(self, work: Work, session: Session | None, now: dt.datetime) -> tuple[Session, Account] | None:
        if session is None or not session.is_open(now):
            return None
        account = work.find(ACCOUNTS, session.account)
        return None if account is None or not account.active else (session, account)


def token_hash(token: str) -> str:
    """Return what is kept of a token: its SHA-256, from which the token cannot be had."""
    return hashlib.sha256(token.encode()).hexdigest()


def _nobody(via: str) -> Actor:
    return Actor("nobody", "nobody", "", frozenset(), via)

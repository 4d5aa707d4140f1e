"""The verbs on organisations, accounts and sessions."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import replace

from policies import Context, Policies, Resource
from shuzha.core.actor import SYSTEM_ORGANISATION, Actor, platform_actor
from shuzha.core.clock import Clock, SystemClock
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound
from shuzha.core.ids import new_id, short_name
from shuzha.core.work import Database, Work
from shuzha.people.model import (
    ACCOUNT,
    Account,
    AccountState,
    Organisation,
    OrganisationKind,
    Session,
    check_account,
    check_organisation,
    check_password,
    normal_login,
)
from shuzha.people.passwords import Passwords
from shuzha.people.sessions import NotSignedIn, Sessions, SignedIn
from shuzha.people.staff_store import check_separate, find_identity
from shuzha.people.store import ACCOUNTS, ORGANISATIONS, end_sessions, has_accounts


class People:
    """Who there is, and who is signed in. Administration is for system administrators alone (Z20 art. 33).

    `clock` is that by which sessions age: the host's where none is given, so that nobody is signed out when the demo
    moves the city's date.
    """

    def __init__(
        self,
        database: Database,
        policies: Policies,
        *,
        csrf_key: bytes,
        passwords: Passwords | None = None,
        session_clock: Clock | None = None,
    ) -> None:
        self._database = database
        self._policies = policies
        self._passwords = passwords or Passwords()
        self.clock = session_clock or SystemClock()
        self._sessions = Sessions(database, self._passwords, csrf_key, self.clock)

    def bootstrap(self, *, login: str, password: str, name: str) -> Account:
        """Return the first administrator, in the platform's own organisation; refuses once there is any account."""
        check_account(login, name, frozenset({"administrator"}))
        check_password(password, login, name)
        with self._database.work(platform_actor("bootstrap")) as work:
            if has_accounts(work):
                raise Conflict(
                    "cannot bootstrap: there are accounts already", rule="people.bootstrap",
                    accepted="an administrator creates further accounts",
                )  # fmt: skip
            if work.find(ORGANISATIONS, SYSTEM_ORGANISATION) is None:
                work.add(
                    ORGANISATIONS,
                    Organisation(
                        SYSTEM_ORGANISATION, "platform", "数闸平台", "Shuzha platform", OrganisationKind.PLATFORM, name,
                        work.now(),
                    ),
                )  # fmt: skip
            return self._add_account(work, login, password, name, SYSTEM_ORGANISATION, frozenset({"administrator"}))

    def create_organisation(
        self, actor: Actor, *, code: str, name: str, kind: OrganisationKind, responsible_person: str, name_en: str = ""
    ) -> Organisation:
        """Return a new organisation; refuses a code that is taken and one without a responsible person."""
        with self._database.work(actor) as work:
            self._check(actor, "organisation:create", Resource("organisation"), work)
            check_organisation(code, name, responsible_person)
            identifier = new_id("org")
            organisation = work.add(
                ORGANISATIONS,
                Organisation(identifier, code, name, name_en, OrganisationKind(kind), responsible_person, work.now()),
            )
            work.emit("organisation:create", identifier, f"organisation {code} created")
            return organisation

    def create_account(
        self, actor: Actor, *, login: str, password: str, name: str, organisation: str, roles: Iterable[str]
    ) -> Account:
        """Return a new account; refuses a taken login, a weak password, an unknown organisation, excluding roles."""
        with self._database.work(actor) as work:
            self._check(actor, "account:create", Resource("account", organisation=organisation), work)
            if work.find(ORGANISATIONS, organisation) is None:
                raise NotFound(f"no organisation with id {organisation}")
            return self._add_account(work, login, password, name, organisation, frozenset(roles))

    def change_roles(self, actor: Actor, account_id: str, roles: Iterable[str], reason: str) -> Account:
        """Return the account with other roles; its sessions end, so that no old role stays in use."""
        roles = frozenset(roles)
        with self._database.work(actor) as work:
            account = self._get_for(work, actor, "account:change", account_id)
            check_account(account.login, account.name, roles)
            identity = find_identity(work, account.id)
            if identity is not None:
                check_separate(work, account, identity.person, roles)
            _check_reason(reason)
            if "administrator" not in roles:
                self._check_administrator_remains(work, account)
            account = work.save(ACCOUNTS, replace(account, roles=roles))
            end_sessions(work, account.id, self.clock.now())
            work.emit("account:change", account.id, f"roles changed to {', '.join(sorted(roles))}: {reason}")
            return account

    def suspend_account(self, actor: Actor, account_id: str, reason: str) -> Account:
        """Return the account suspended: its sessions end at once. Refuses the last active administrator."""
        with self._database.work(actor) as work:
            account = self._get_for(work, actor, "account:suspend", account_id)
            move = ACCOUNT.next(account.state, "suspend", account.id)
            _check_reason(reason)
            self._check_administrator_remains(work, account)
            account = work.save(ACCOUNTS, replace(account, state=move.target))
            end_sessions(work, account.id, self.clock.now())
            work.emit("account:suspend", account.id, f"account suspended: {reason}", data={"handle": account.handle})
            return account

    def restore_account(self, actor: Actor, account_id: str, reason: str) -> Account:
        """Return the account in use again."""
        with self._database.work(actor) as work:
            account = self._get_for(work, actor, "account:restore", account_id)
            move = ACCOUNT.next(account.state, "restore", account.id)
            _check_reason(reason)
            identity = find_identity(work, account.id)
            if identity is not None:
                check_separate(work, account, identity.person, account.roles)
            account = work.save(ACCOUNTS, replace(account, state=move.target))
            work.emit("account:restore", account.id, f"account restored: {reason}")
            return account

    def change_password(self, actor: Actor, old: str, new: str, keep_token: str = "") -> None:
        """Set the actor's own password; its other sessions end. Refuses where the old one does not fit."""
        account = self.get_account(actor.id)
        if not self._passwords.verify(account.password_hash, old):
            raise NotAllowed("cannot change the password: the old one does not fit", rule="account.password")
        check_password(new, account.login, account.name)
        kept = self._sessions.find(keep_token)
        with self._database.work(actor) as work:
            account = work.get(ACCOUNTS, account.id)
            work.save(ACCOUNTS, replace(account, password_hash=self._passwords.hash(new)))
            end_sessions(work, account.id, self.clock.now(), keep=kept[0].id if kept else "")
            work.emit("account:password", account.id, "password changed by its holder")

    def list_accounts(self, actor: Actor) -> tuple[Account, ...]:
        """Return every account, oldest first; for administrators."""
        with self._database.read() as work:
            self._check(actor, "account:view", Resource("account"), work)
            return work.list(ACCOUNTS)

    def list_organisations(self, actor: Actor) -> tuple[Organisation, ...]:
        """Return every organisation, oldest first."""
        with self._database.read() as work:
            self._check(actor, "organisation:view", Resource("organisation"), work)
            return work.list(ORGANISATIONS)

    def get_organisation(self, identifier: str) -> Organisation:
        """Return an organisation; its name is no secret, so nobody is asked who wants it."""
        with self._database.read() as work:
            return work.get(ORGANISATIONS, identifier)

    def get_account(self, identifier: str) -> Account:
        """Return an account, for the platform's own use: it holds the password's hash and is never shown as it is."""
        with self._database.read() as work:
            return work.get(ACCOUNTS, identifier)

    def find_by_handle(self, handle: str) -> Account | None:
        """Return the account of a hub user's name, or None."""
        with self._database.read() as work:
            return next(iter(work.list(ACCOUNTS, handle=handle)), None)

    def sign_in(self, login: str, password: str, via: str = "portal") -> SignedIn:
        """Return a new session with its token; refuses a wrong pair (NotSignedIn) and a blocked login."""
        return self._sessions.sign_in(login, password, via)

    def sign_out(self, token: str) -> None:
        """End a session; a token of none changes nothing."""
        self._sessions.sign_out(token)

    def actor_of_session(self, token: str, via: str) -> Actor | None:
        """Return who is signed in by a session token, or None."""
        found = self._sessions.find(token)
        return None if found is None else found[1].actor(via)

    def find_session(self, token: str) -> tuple[Session, Account] | None:
        """Return the open session of a token and its account, or None."""
        return self._sessions.find(token)

    def find_session_by_id(self, session_id: str) -> tuple[Session, Account] | None:
        """Return an open session by its id and its account, or None."""
        return self._sessions.find_by_id(session_id)

    def csrf_token(self, token: str) -> str:
        """Return the text that each form of this session carries."""
        return self._sessions.csrf_token(token)

    def check_csrf(self, token: str, sent: str) -> None:
        """Refuse a form that does not carry its session's text: another site may have made the browser send it."""
        if not token or not hmac.compare_digest(self.csrf_token(token).encode(), sent.encode()):
            raise NotAllowed(
                "the form is not of this session", rule="session.csrf", accepted="reload the page and send it again"
            )

    def _add_account(
        self, work: Work, login: str, password: str, name: str, organisation: str, roles: frozenset[str]
    ) -> Account:
        login = normal_login(login)
        check_account(login, name, roles)
        check_password(password, login, name)
        identifier = new_id("acc")
        account = work.add(
            ACCOUNTS,
            Account(
                identifier, login, f"u-{short_name(identifier)}", name.strip(), organisation, roles,
                self._passwords.hash(password), AccountState.ACTIVE, work.now(),
            ),
        )  # fmt: skip
        work.emit("account:create", identifier, f"account created with roles {', '.join(sorted(roles))}")
        return account

    def _get_for(self, work: Work, actor: Actor, permission: str, account_id: str) -> Account:
        account = work.find(ACCOUNTS, account_id)
        organisation = account.organisation if account else ""
        self._check(actor, permission, Resource("account", account_id, organisation=organisation), work)
        return account or work.get(ACCOUNTS, account_id)

    def _check(self, actor: Actor, permission: str, resource: Resource, work: Work) -> None:
        self._policies.check(actor, permission, resource, Context(at=work.now()))

    def _check_administrator_remains(self, work: Work, leaving: Account) -> None:
        others = (each for each in work.list(ACCOUNTS, state=AccountState.ACTIVE.value) if each.id != leaving.id)
        if "administrator" in leaving.roles and not any("administrator" in other.roles for other in others):
            raise Invalid(
                f"cannot take account {leaving.id} away: it is the last active administrator",
                rule="account.last_administrator", accepted="another administrator first",
            )  # fmt: skip


def require_actor(actor: Actor | None) -> Actor:
    """Return the actor, or raise NotSignedIn where there is none."""
    if actor is None:
        raise NotSignedIn("nobody is signed in", rule="session", accepted="a session cookie or a bearer token")
    return actor


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise Invalid("a decision on an account needs its reason", rule="account.reason", accepted="a sentence")

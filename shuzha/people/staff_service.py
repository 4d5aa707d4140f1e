"""The verbs on staff: who a person is, what he was trained in, and whether he may start."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import unicodedata
from dataclasses import replace

from desensitize.identifiers.check_digits import is_resident_id
from policies import Context, Policies, Resource
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Conflict, Invalid, NotFound, ShuzhaError
from shuzha.core.ids import new_id
from shuzha.core.lawbook import LawBook
from shuzha.core.work import Database, Work, no_record
from shuzha.people.staff import IDENTITY_RULE, TRAINING, Identity, Member, Training, check_training, training_end
from shuzha.people.staff_store import IDENTITIES, TRAININGS, check_account_ready, check_separate, find_identity
from shuzha.people.store import ACCOUNTS

VALIDITY_RULE = "staff.training"


def training_resource(training: Training) -> Resource:
    """Return a training as decisions see it: the unit's own, made by whoever recorded it."""
    return Resource("training", training.id, training.organisation, training.recorded_by)


class Staff:
    """Identities and trainings; `key` hashes identity numbers, which are never stored."""

    def __init__(self, database: Database, policies: Policies, law: LawBook, key: bytes) -> None:
        self._database = database
        self._policies = policies
        self._law = law
        self._key = key

    def identify(self, actor: Actor, account_id: str, name: str, number: str) -> Identity:
        """Return the identity of an account whose holder has shown his identity document.

        Refuses a name that is not the account's, a number that is none, an account that is tied already, and roles
        that this person may not hold together with those of another account of his (Z20 art. 33).
        """
        number = unicodedata.normalize("NFKC", number).strip().upper()
        with self._database.work(actor) as work:
            account = work.find(ACCOUNTS, account_id)
            organisation = account.organisation if account else ""
            self._check(actor, "account:identify", Resource("account", account_id, organisation), work)
            account = account or work.get(ACCOUNTS, account_id)
            if _plain(name) != _plain(account.name):
                raise Invalid("the document is not in the account's name", rule=IDENTITY_RULE, accepted="its real name")
            if not is_resident_id(number):
                raise Invalid(
                    "this is no identity number", rule=IDENTITY_RULE, accepted="18 digits of GB 11643, check digit last"
                )
            if find_identity(work, account.id) is not None:
                raise Conflict(f"the account {account.id} stands for a checked person already", rule=IDENTITY_RULE)
            person = hmac.new(self._key, number.encode(), hashlib.sha256).hexdigest()
            check_separate(work, account, person, account.roles)
            made = Identity(new_id("idt"), account.id, account.organisation, person, actor.id, work.now())
            work.add(IDENTITIES, made)
            work.emit("account:identify", account.id, "the holder's identity document was checked", approver=actor.id)
        return made

    def record_training(
        self, actor: Actor, account_id: str, course: str, proof_sha256: str, completed_on: dt.date
    ) -> Training:
        """Return the proof of a training of one of the unit's own people, for the authority to confirm."""
        years = self._law.get_rule(VALIDITY_RULE).years or 1
        with self._database.work(actor) as work:
            account = work.find(ACCOUNTS, account_id)
            organisation = account.organisation if account else ""
            self._check(actor, "training:record", Resource("training", "", organisation), work)
            account = account or work.get(ACCOUNTS, account_id)
            check_training(course, proof_sha256, completed_on, city_date(work.now()))
            made = Training(
                new_id("trn"), account.id, account.organisation, course.strip(), proof_sha256, completed_on,
                training_end(completed_on, years), actor.id, work.now(), TRAINING.initial,
            )  # fmt: skip
            work.add(TRAININGS, made)
            work.emit("training:record", made.id, f"training of {account.id} recorded", data=_data(made))
        return made

    def confirm_training(self, actor: Actor, training_id: str, reason: str) -> Training:
        """Return the training as confirmed by somebody other than who recorded it."""
        return self._decide(actor, training_id, "confirm", reason)

    def refuse_training(self, actor: Actor, training_id: str, reason: str) -> Training:
        """Return the proof as refused, with the reason."""
        return self._decide(actor, training_id, "refuse", reason)

    def revoke_training(self, actor: Actor, training_id: str, reason: str) -> Training:
        """Return a confirmed training as counting no more; its person's workspaces are held within a second."""
        return self._decide(actor, training_id, "revoke", reason)

    def get_training(self, actor: Actor, training_id: str) -> Training:
        """Return one training; raises NotFound for one that the actor may not see."""
        with self._database.read() as work:
            return self._seen(work, actor, training_id)

    def list_trainings(self, actor: Actor, *, account: str | None = None) -> tuple[Training, ...]:
        """Return the trainings that the actor may see, newest first."""
        equal = {} if account is None else {"account": account}
        with self._database.read() as work:
            found, now = work.list(TRAININGS, newest_first=True, **equal), work.now()
        return tuple(one for one in found if self._can_see(actor, one, now))

    def list_members(self, actor: Actor) -> tuple[Member, ...]:
        """Return the people of the organisations that the actor answers for, oldest first.

        Refused for who may read neither trainings nor accounts; an administrator reads no trainings.
        """
        with self._database.read() as work:
            now = work.now()
            if not self._policies.can(actor, "account:view", Resource("account"), Context(at=now)):
                self._check(actor, "training:view", Resource("training", "", actor.organisation, actor.id), work)
            identities = {one.account: one for one in work.list(IDENTITIES)}
            trainings: dict[str, list[Training]] = {}
            for one in work.list(TRAININGS, newest_first=True):
                trainings.setdefault(one.account, []).append(one)
            found = []
            for account in work.list(ACCOUNTS):
                own = Resource("training", "", account.organisation, account.id)
                may_read = self._policies.can(actor, "training:view", own, Context(at=now))
                listed = Resource("account", account.id, account.organisation)
                if may_read or self._policies.can(actor, "account:view", listed, Context(at=now)):
                    read = tuple(trainings.get(account.id, ())) if may_read else None
                    found.append(Member(
                        account.id, account.name, account.organisation, account.roles, account.active,
                        identities.get(account.id), read,
                    ))  # fmt: skip
        return tuple(found)

    def get_member(self, actor: Actor, account_id: str) -> Member:
        """Return one person of `list_members`; raises NotFound for one that the actor does not answer for."""
        for one in self.list_members(actor):
            if one.id == account_id:
                return one
        raise NotFound("no person with this id")

    def find_hindrance(self, actor: Actor) -> str:
        """Return why the actor may not enter a workspace yet, in a sentence; empty where he may."""
        with self._database.read() as work:
            self._check(actor, "training:view", Resource("training", "", actor.organisation, actor.id), work)
            try:
                check_account_ready(work, actor.id, work.now())
            except ShuzhaError as error:
                return error.message
        return ""

    def _decide(self, actor: Actor, training_id: str, verb: str, reason: str) -> Training:
        with self._database.work(actor) as work:
            found = self._seen(work, actor, training_id)
            self._check(actor, TRAINING.permission(verb), training_resource(found), work)
            move = TRAINING.next(found.state, verb, found.id)
            if not reason.strip():
                raise Invalid("a decision without a reason", rule="decision.reason", accepted="a sentence")
            fresh = work.save(TRAININGS, replace(found, state=move.target, decided_by=actor.id, reason=reason))
            work.emit(TRAINING.permission(verb), found.id, f"training: {verb}", data=_data(fresh), approver=actor.id)
        return fresh

    def _seen(self, work: Work, actor: Actor, training_id: str) -> Training:
        found = work.get(TRAININGS, training_id)
        if not self._can_see(actor, found, work.now()):
            raise NotFound(no_record(TRAININGS, training_id))
        return found

    def _can_see(self, actor: Actor, training: Training, at: dt.datetime) -> bool:
        return self._policies.can(actor, "training:view", training_resource(training), Context(at=at))

    def _check(self, actor: Actor, permission: str, resource: Resource, work: Work) -> None:
        self._policies.check(actor, permission, resource, Context(at=work.now()))


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).split()).casefold()


def _data(training: Training) -> dict[str, str]:
    return {
        "account": training.account, "organisation": training.organisation, "proof_sha256": training.proof_sha256,
        "valid_until": training.valid_until.isoformat(), "reason": training.reason,
    }  # fmt: skip

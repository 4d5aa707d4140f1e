"""People as the platform wants them before a workspace: checked by name, trained, and confirmed by the authority."""

from __future__ import annotations

import datetime as dt
import hashlib
from itertools import count

from desensitize.identifiers.check_digits import resident_id_check_digit
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.work import Database
from shuzha.people.staff import Training
from shuzha.people.staff_service import Staff
from shuzha.people.store import ACCOUNTS

PROOF = hashlib.sha256(b"the paper of a training").hexdigest()
ADMINISTRATOR = Actor("acc_root", "root", "org_platform", frozenset({"administrator"}), "portal")
AUTHORITY = Actor("acc_trainer", "trainer", "org_authority", frozenset({"authority"}), "portal")
_numbers = count(1)


def identity_number() -> str:
    """Return an identity number that holds, another one at each call."""
    body = f"37010219900101{next(_numbers):03d}"
    return body + resident_id_check_digit(body)


def train(staff: Staff, database: Database, account_id: str, day: dt.date | None = None) -> Training:
    """Record and confirm a training of an account by the real verbs."""
    with database.read() as work:
        account, today = work.get(ACCOUNTS, account_id), city_date(work.now())
    unit = Actor("acc_hr", "hr", account.organisation, frozenset({"operator"}), "portal")
    made = staff.record_training(unit, account_id, "数据安全岗前培训", PROOF, day or today)
    return staff.confirm_training(AUTHORITY, made.id, "the paper was seen")


def make_ready(staff: Staff, database: Database, *account_ids: str) -> None:
    """Check and train accounts, so that they may enter a workspace."""
    for account_id in account_ids:
        with database.read() as work:
            name = work.get(ACCOUNTS, account_id).name
        staff.identify(ADMINISTRATOR, account_id, name, identity_number())
        train(staff, database, account_id)

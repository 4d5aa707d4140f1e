"""A records database with people in their organisations, and the portal's app with its real routes."""

import datetime as dt
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from policies import NoScopes, Policies
from shuzha.core.clock import FixedClock
from shuzha.core.work import Database
from shuzha.people import OrganisationKind, People
from shuzha.people.passwords import Passwords
from shuzha.people.routes import make_router
from shuzha.people.web import actor_dependency
from shuzha.server.problems import install

NOW = dt.datetime(2026, 3, 2, 4, tzinfo=dt.UTC)
PASSWORD = "correct-horse-7-battery"


@pytest.fixture
def keyboard():
    """The clock that sessions age by."""
    return FixedClock(NOW)


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/records.db", FixedClock(NOW))
    database.create_tables()
    return database


@pytest.fixture
def people(database, keyboard):
    quick = Passwords(memory_kib=64, passes=1)
    return People(database, Policies(NoScopes()), csrf_key=b"k" * 32, passwords=quick, session_clock=keyboard)


@pytest.fixture
def city(people):
    """An administrator, and an analyst and a provider in organisations of their own."""
    root = people.bootstrap(login="root", password=PASSWORD, name="系统管理员")
    admin = root.actor("portal")
    unit = people.create_organisation(
        admin, code="91370100MA3C00001X", name="泉城数据运营", name_en="Spring City Data",
        kind=OrganisationKind.OPERATOR, responsible_person="李敏",
    )  # fmt: skip
    analyst = people.create_account(
        admin, login="chenwei", password=PASSWORD, name="陈伟", organisation=unit.id, roles=["analyst"]
    )
    return SimpleNamespace(root=root, admin=admin, unit=unit, analyst=analyst, password=PASSWORD)


@pytest.fixture
def app(people):
    app = FastAPI()
    install(app)
    app.include_router(make_router(people, actor_dependency(people)), prefix="/api/v1")
    return app


@pytest.fixture
def client(app, city):
    return TestClient(app, base_url="http://portal.localhost:8000", follow_redirects=False)


@pytest.fixture
def tags(database):
    """What the outbox says, in order."""
    return lambda: [event.tag for event in database.events_after(0)]

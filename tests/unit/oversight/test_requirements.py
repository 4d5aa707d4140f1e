"""Governance requirements: who raises, answers, orders and settles, by which clock, and who sees it."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from shuzha.catalog.model import Entry
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotAllowed, NotFound, TransitionNotAllowed
from shuzha.oversight.model import Lack, Requirement, RequirementState
from shuzha.oversight.requirements import Asked, Requirements
from shuzha.server.portal_app import make_app
from tests.portal_kit import PASSWORD, PortalCity


class Granted:
    """A city whose operating unit has a grant on one entry and a workspace, and another entry that it has none on."""

    def __init__(self, city: PortalCity) -> None:
        self.city = city
        self.entry: Entry = city.entry()
        self.other: Entry = city.entry("370100-HRSS-0009", zh="别的数据")
        city.fill(self.entry)
        demand = city.demand(city.authorize(self.entry), self.entry, "贷前核验申请人是否连续参保")
        city.release(demand)
        self.workspace = city.workspace(demand)
        self.service: Requirements = city.platform.requirements

    def who(self, login: str) -> Actor:
        return self.city.people[login]

    def raised(self, login: str = "operator", **changes: object) -> Requirement:
        asked = Asked(**{"entry": self.entry.id, "lack": Lack.MISSING, "text": "区划代码缺三分之一", **changes})  # type: ignore[arg-type]
        return self.service.raise_requirement(self.who(login), asked)


@pytest.fixture(scope="module")
def granted(tmp_path_factory: pytest.TempPathFactory) -> Granted:
    return Granted(PortalCity(tmp_path_factory.mktemp("city")))


def test_a_requirement_goes_its_way_and_everybody_concerned_sees_it(granted: Granted) -> None:
    service, made = granted.service, granted.raised(columns=("district_code",))
    assert (made.state, made.provider) == (RequirementState.RAISED, granted.entry.provider)
    assert made.due is not None
    for login in ("operator", "analyst", "provider", "authority", "regulator"):
        assert service.get_requirement(granted.who(login), made.id) == made
    for login in ("consumer", "auditor", "checker1"):
        with pytest.raises(NotFound):
            service.get_requirement(granted.who(login), made.id)
    accepted = service.move(granted.who("provider"), made.id, "accept", "we fill it from the register")
    assert accepted.due is not None
    assert accepted.due > made.due
    fixed = service.move(granted.who("provider"), made.id, "fix", "filled with the batch of today")
    assert fixed.due is None
    again = service.move(granted.who("operator"), made.id, "reopen", "2025 is still empty")
    assert (again.state, again.due) == (RequirementState.RAISED, made.due)
    service.move(granted.who("provider"), made.id, "accept", "so it is")
    service.move(granted.who("provider"), made.id, "fix", "filled too")
    done = service.move(granted.who("analyst"), made.id, "settle", "it is whole now")
    assert done.state is RequirementState.SETTLED
    assert [step.verb for step in done.steps] == ["raise", "accept", "fix", "reopen", "accept", "fix", "settle"]
    with pytest.raises(TransitionNotAllowed):
        service.move(granted.who("provider"), made.id, "accept", "again")


def test_what_a_unit_has_no_grant_on_is_not_its_to_ask_for(granted: Granted) -> None:
    with pytest.raises(NotFound, match="no grant on this entry"):
        granted.raised(entry=granted.other.id)
    with pytest.raises(Invalid, match="a column that the grant does not hold"):
        granted.raised(columns=("secret_column",))
    with pytest.raises(Invalid):
        granted.raised(text="  ")
    for login in ("provider", "authority", "consumer"):
        with pytest.raises(NotAllowed):
            granted.raised(login)


def test_nobody_does_the_others_part(granted: Granted) -> None:
    service, made = granted.service, granted.raised()
    for login, verb in (("operator", "accept"), ("authority", "accept"), ("provider", "settle"), ("provider", "order")):
        with pytest.raises((NotAllowed, TransitionNotAllowed)):
            service.move(granted.who(login), made.id, verb, "because")
    with pytest.raises(NotFound):
        service.move(granted.who("consumer"), made.id, "accept", "because")
    withdrawn = service.move(granted.who("operator"), made.id, "withdraw", "a mistake of ours")
    assert withdrawn.state is RequirementState.WITHDRAWN


def test_the_authority_orders_what_was_declined_and_what_is_late(granted: Granted) -> None:
    service, city = granted.service, granted.city
    declined, late = granted.raised(), granted.raised(lack=Lack.LATE)
    service.move(granted.who("provider"), declined.id, "decline", "it is so at its source")
    ordered = service.move(granted.who("authority"), declined.id, "order", "then the source is mended")
    assert (ordered.state, ordered.due is not None) == (RequirementState.ORDERED, True)
    with pytest.raises(Invalid, match="is not late"):
        service.move(granted.who("authority"), late.id, "order", "hurry")
    assert not service.is_late(late)
    assert late.due is not None
    city.advance(late.due)
    assert service.is_late(late)
    assert service.move(granted.who("authority"), late.id, "order", "hurry").state is RequirementState.ORDERED


def test_a_notebook_raises_a_few_in_its_analysts_name(granted: Granted) -> None:
    verbs, name = granted.city.platform.verbs, granted.workspace.name
    said = verbs.require(name, "wrong_values", "bases below zero", ["base"])
    made = granted.service.get_requirement(granted.who("analyst"), said["id"])
    assert (made.author, made.workspace) == (granted.who("analyst").id, granted.workspace.id)
    assert (made.entry, made.columns, said["state"]) == (granted.entry.id, ("base",), "raised")
    with pytest.raises(Invalid, match="no such kind of lack"):
        verbs.require(name, "ugliness", "ugly", [])
    for _ in range(4):
        verbs.require(name, "other", "and more", [])
    with pytest.raises(NotAllowed, match="enough requirements today"):
        verbs.require(name, "other", "and more", [])


def test_the_api_raises_and_moves(granted: Granted) -> None:
    with TestClient(make_app(granted.city.platform), base_url="http://portal.localhost") as client:

        def headers(login: str) -> dict[str, str]:
            answer = client.post("/api/v1/session", json={"login": login, "password": PASSWORD})
            return {"Authorization": f"Bearer {answer.json()['token']}"}

        body = {"entry": granted.entry.id, "lack": "unclear_meaning", "text": "what is kind 3?", "columns": ["kind"]}
        made = client.post("/api/v1/requirements", json=body, headers=headers("operator"))
        assert made.status_code == 201
        path = f"/api/v1/requirements/{made.json()['id']}"
        provider = headers("provider")
        assert client.post(f"{path}/accept", json={"reason": "soon"}, headers=provider).json()["state"] == "accepted"
        assert client.post(f"{path}/fly", json={"reason": "soon"}, headers=provider).status_code in (403, 409)
        assert len(client.get("/api/v1/requirements", headers=provider).json()) >= 1
        assert client.get("/api/v1/requirements", headers=headers("consumer")).json() == []

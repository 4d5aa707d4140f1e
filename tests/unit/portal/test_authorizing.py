"""The procedure by its forms alone: announcement, application, files, facts, experts, signatures, demand."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from policies import Hours, Narrowing, Period, Quota
from shuzha.authorization.evidence import MOST_BYTES
from shuzha.authorization.filing import verify_agreement
from shuzha.authorization.qualification import Fact
from tests.portal_kit import PortalCity
from tests.unit.portal.conftest import csrf_of, post

FILE = ("plan.txt", b"a nameless plan", "text/plain")


def led_to(answer) -> str:  # type: ignore[no-untyped-def]
    """Return the id of the page that a form led to; what was refused fails the test with the page's own words."""
    said = re.findall(r'role="alert".*?</div>', answer.text, re.DOTALL)
    assert answer.status_code == 303, said
    return answer.headers["location"].split("?")[0].rsplit("/", 1)[1]


def announce(authority: TestClient, city: PortalCity) -> str:
    fields = {
        "title": "by forms", "mode": "comprehensive", "plan": "plan 1", "conditions": "one\ntwo", "opens": city.today,
        "closes": city.today, "criteria": "security: 60\nvalue: 40", "pass_score": 60, "experts": 3, "notice_days": 0,
        "evidence": ["operation", "competence", "plan"],
    }  # fmt: skip
    assert "sum to 90 points" in post(authority, "/announcements", **{**fields, "criteria": "a: 60\nb: 30"}).text
    out_of_sight = {"field": "health", "provider": city.people["provider"].organisation}
    found = led_to(post(authority, "/announcements", **fields, **out_of_sight))
    content = city.platform.authorization.get_announcement(city.people["authority"], found).content
    assert (content.field, content.provider) == ("", "")
    led_to(post(authority, f"/announcements/{found}/publish", reason="this year"))
    return found


def apply(operator: TestClient, city: PortalCity, announcement: str) -> str:
    fields = {
        "title": "by forms", "legal_representative": "郑泉", "responsible_person": "郑航", "training_proof": "2026-1",
        "valid_from": city.today, "valid_until": city.today, "purposes": "loan-review", "calculation": "calls",
        "rights_and_duties": "serve", "security": "sandbox", "exit": "destroy", "asset_disposal": "delist",
        "entries": [city.made["entry"]], "operations": ["view", "verify"], "output_kinds": ["verification"],
        "infrastructure": 10, "provider": 30, "platform": 20, "operator": 50,
    }  # fmt: skip
    path = f"/announcements/{announcement}/applications"
    form = operator.get(f"/announcements/{announcement}").text
    head = city.platform.people.get_organisation(city.people["operator"].organisation).responsible_person
    assert re.search(rf'name="responsible_person"[^>]*value="{head}"', form)
    assert 'name="purposes" value="public-service"' in form
    none = post(operator, path, **{**fields, "purposes": []})
    assert "names no purposes" in none.text
    assert 'id="e-purposes-0"' in none.text
    assert "sum to 90 percent" in post(operator, path, **{**fields, "operator": 40}).text
    found = led_to(post(operator, path, **fields, other_purposes="own-purpose, loan-review\n"))
    made = city.platform.authorization.get_authorization(city.people["operator"], found)
    assert made.agreement.purposes == ("loan-review", "own-purpose")
    for kind in ("operation", "competence", "plan"):
        address = f"/authorizations/{found}/evidence?kind={kind}&csrf={csrf_of(operator)}"
        led_to(operator.post(address, files={"file": FILE}))
    most = {"file": ("most.txt", b"x" * MOST_BYTES, "text/plain")}
    led_to(operator.post(address.replace("kind=plan", "kind=other"), files=most))
    large = {"file": ("large.txt", b"x" * (MOST_BYTES + 1), "text/plain")}
    refused = operator.post(address, files=large)
    assert refused.status_code == 422
    assert "empty or too large" in refused.text
    assert operator.post(address.split("&")[0], files={"file": FILE}).status_code == 403, "no form of this session"
    return found


def test_walks_from_announcement_to_demand_by_forms(sign_in, city: PortalCity) -> None:
    authority, operator = sign_in("authority"), sign_in("operator")
    one = apply(operator, city, announce(authority, city))
    path = f"/authorizations/{one}"
    facts = {
        "day": [city.today] * len(Fact), "source": ["register"] * len(Fact), "found": [""] * len(Fact), "reason": "ok",
    }  # fmt: skip
    clear = [fact.value for fact in Fact]
    refused = post(authority, f"{path}/qualify", **facts, clear=clear[:-1])
    assert "`tax_head` speaks against the unit" in refused.text.replace("&#96;", "`")
    led_to(post(authority, f"{path}/qualify", **facts, clear=clear))
    experts = [city.people[f"expert{number}"].id for number in (1, 2, 3)]
    led_to(post(authority, f"{path}/experts", experts=experts, reason="third parties"))
    for number in (1, 2, 3):
        expert = sign_in(f"expert{number}")
        found = next(
            each.id for each in city.platform.authorization.list_assessments(city.people[f"expert{number}"])
            if each.authorization == one
        )  # fmt: skip
        assert "a nameless plan" not in expert.get(f"/assessments/{found}").text
        assert "Proposed agreement" not in expert.get(f"/assessments/{found}").text
        led_to(post(expert, f"/assessments/{found}/declare"))
        page = expert.get(f"/assessments/{found}").text
        assert "Proposed agreement" in page
        assert not [name for name in ("郑泉", "郑航", "泉数", "by forms") if name in page]
        evidence = re.findall(rf"/assessments/{found}/evidence/evd_\w+", page)
        assert expert.get(evidence[0]).content == FILE[1]
        assert len(evidence) == 1
        criteria = {"criterion": ["security", "value"], "comment": "sound"}
        assert post(expert, f"/assessments/{found}/score", **criteria, points=[61, 40]).status_code == 422
        led_to(post(expert, f"/assessments/{found}/score", **criteria, points=[50, 30]))
    for verb, fields in (("review", {}), ("approve", {"number": "JZ-9", "approved_on": city.today}), ("publicize", {})):
        led_to(post(authority, f"{path}/{verb}", reason="in order", **fields))
    public = sign_in("consumer").get(f"/public/authorizations/{one}")
    assert (public.status_code, "JZ-9" in public.text) == (200, True)
    led_to(post(operator, f"{path}/sign"))
    led_to(post(authority, f"{path}/countersign"))
    bundle = operator.get(f"{path}/agreement")
    key = city.platform.authorization.agreement_key()
    assert verify_agreement(bundle.content, bytes.fromhex(key)).sound
    _demand(operator, city, one)


def _demand(operator: TestClient, city: PortalCity, authorization: str) -> None:
    fields = {
        "entry": city.made["entry"], "scenario": "by forms", "value": "less paper", "columns": ["kind", "paid"],
        "operations": ["view"], "output_kinds": ["verification"], "purposes": ["loan-review"], "places": ["workspace"],
        "valid_from": city.today, "valid_until": city.today, "rows": "kind eq pension",
    }  # fmt: skip
    path = f"/authorizations/{authorization}/demands"
    assert "cannot be read" in post(operator, path, **{**fields, "rows": "kind"}).text
    demand = led_to(post(operator, path, **fields))
    changed = {**fields, "columns": ["paid"], "rows": "paid eq true"}
    changed.pop("entry")
    led_to(post(operator, f"/demands/{demand}/change", **changed))
    found = city.platform.authorization.get_demand(city.people["operator"], demand)
    assert found.content.columns == ("paid",)
    assert [one.as_dict() for one in found.content.row_filter] == [{"column": "paid", "op": "eq", "value": True}]
    _limit(operator, city, demand, changed)
    led_to(post(operator, f"/demands/{demand}/submit"))
    assert post(operator, f"/demands/{demand}/change", **changed).status_code == 409


def _limit(operator: TestClient, city: PortalCity, demand: str, fields: dict[str, object]) -> None:
    service, actor = city.platform.authorization, city.people["operator"]
    narrowed = (Narrowing("serve:verification", columns=("paid",)),)
    service.change_demand(actor, demand, replace(service.get_demand(actor, demand).content, narrowed=narrowed))
    limits = {"opens": "08:30", "closes": "18:00", "working_days": "true", "quota": "500", "per": "month"}
    for wrong in ({"quota": "many"}, {"opens": "noon"}, {"opens": "19:00"}, {"per": "hour"}, {"joins": ["own-file"]}):
        assert post(operator, f"/demands/{demand}/change", **{**fields, **limits, **wrong}).status_code in {
            400,
            409,
            422,
        }
    led_to(post(operator, f"/demands/{demand}/change", **{**fields, **limits}))
    content = service.get_demand(actor, demand).content
    assert (content.hours, content.quota) == (Hours(510, 1080, working_days=True), Quota(500, Period.MONTH))
    assert content.narrowed == narrowed
    page = operator.get(f"/demands/{demand}/change").text
    assert 'value="08:30"' in page
    assert 'value="500"' in page
    assert "08:30–18:00" in operator.get(f"/demands/{demand}").text


def test_an_application_that_is_not_public_does_not_exist_for_visitors(visitor, city: PortalCity) -> None:
    for name in ("authorization.applied", "authorization.qualified", "authorization.reviewed"):
        assert visitor.get(f"/public/authorizations/{city.made[name]}").status_code == 404
    assert visitor.get(f"/public/authorizations/{city.made['authorization.noticed']}").status_code == 200


@pytest.mark.parametrize("login", ["operator", "analyst", "consumer"])
def test_nobody_else_opens_an_experts_page(sign_in, city: PortalCity, login: str) -> None:
    assert sign_in(login).get(f"/assessments/{city.made['assessment.1']}").status_code == 404

"""Whose name was checked and who was trained: recorded, confirmed and shown on pages."""

from __future__ import annotations

from tests.portal_kit import PASSWORD, PortalCity
from tests.staff_kit import PROOF, identity_number
from tests.unit.portal.conftest import csrf_of, post


def hired(city: PortalCity, login: str) -> str:
    """Return a new analyst of the operating unit, unchecked and untrained."""
    people, admin = city.platform.people, city.people["admin"]
    return people.create_account(
        admin, login=login, password=PASSWORD, name="钱新", roles=("analyst",),
        organisation=city.people["operator"].organisation,
    ).id  # fmt: skip


def test_a_newcomer_gets_ready_by_pages_alone(sign_in, city: PortalCity) -> None:
    path = f"/people/{hired(city, 'newcomer')}"
    newcomer, operator, authority, admin = map(sign_in, ("newcomer", "operator", "authority", "admin"))
    shown = newcomer.get(path).text
    assert "Nobody has checked the identity document yet" in shown
    assert "No pre-job training is in force" in shown
    assert "/identity" not in shown
    assert "/trainings" not in shown
    for client, what in ((newcomer, "See what your first workspace still waits for"),
                         (operator, "Record a pre-job training"), (admin, "Check an identity document")):  # fmt: skip
        home = client.get("/tasks").text
        assert what in home
        assert path in home
    number = identity_number()
    assert post(operator, f"{path}/identity", name="钱新", number=number).status_code == 403
    assert post(admin, f"{path}/identity", name="钱旧", number=number).status_code == 422
    assert post(admin, f"{path}/identity", name="钱新", number=number).status_code == 303
    assert number not in admin.get(path).text
    assert f"{path}/identity" not in admin.get(path).text, "it is checked once"
    fields = {"course": "数据安全岗前培训", "completed_on": city.today, "proof": PROOF}
    assert post(admin, f"{path}/trainings", **fields).status_code == 403
    assert post(operator, f"{path}/trainings", **{**fields, "proof": "abc"}).status_code == 422
    assert post(operator, f"{path}/trainings", **fields).status_code == 303
    assert "Record a pre-job training" not in operator.get("/tasks").text or path not in operator.get("/tasks").text
    (training,) = city.platform.staff.list_trainings(city.people["authority"], account=path.rsplit("/", 1)[1])
    confirm = f"{path}/trainings/{training.id}/confirm"
    assert post(operator, confirm, reason="sure").status_code == 403
    assert confirm in authority.get(path).text
    assert path in authority.get("/tasks").text
    assert post(authority, confirm, reason="the paper was seen").status_code == 303
    assert ">may get one</span>" in newcomer.get(path).text
    assert path not in newcomer.get("/tasks").text
    assert post(authority, f"{path}/trainings/{training.id}/revoke", reason="it was forged").status_code == 303
    assert ">not yet</span>" in newcomer.get(path).text
    assert city.platform.staff.find_hindrance(city.platform.people.get_account(training.account).actor("portal"))


def test_people_of_others_do_not_exist_and_papers_are_not_the_administrators(sign_in, city: PortalCity) -> None:
    analyst, provider = city.people["analyst"].id, city.people["provider"].id
    assert sign_in("operator").get(f"/people/{analyst}").status_code == 200
    assert sign_in("operator").get(f"/people/{provider}").status_code == 404
    assert sign_in("operator").get("/people/acc_none").status_code == 404
    assert provider not in sign_in("operator").get("/people").text
    assert provider in sign_in("regulator").get("/people").text
    assert PROOF[:12] not in sign_in("admin").get(f"/people/{analyst}").text
    assert PROOF[:12] in sign_in("authority").get(f"/people/{analyst}").text
    for login in ("consumer", "checker1", "auditor"):
        assert sign_in(login).get("/people").status_code == 403
        assert sign_in(login).get(f"/people/{analyst}").status_code in (403, 404)


def test_a_responsible_person_leads_to_the_account_of_that_name(sign_in, city: PortalCity) -> None:
    page = sign_in("authority").get("/people").text.partition('id="heads"')[2]
    assert "account of this name" in page or "no account bears this name" in page
    organisation = city.platform.people.get_organisation(city.people["operator"].organisation)
    assert organisation.responsible_person in page


def test_a_form_of_another_session_is_refused(sign_in, city: PortalCity) -> None:
    operator, analyst = sign_in("operator"), city.people["analyst"].id
    fields = {"course": "x", "completed_on": city.today, "proof": PROOF, "csrf": csrf_of(sign_in("authority"))}
    assert operator.post(f"/people/{analyst}/trainings", data=fields).status_code == 403

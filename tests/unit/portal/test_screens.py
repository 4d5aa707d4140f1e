"""What a workspace shows, on its page: by class, with what its analyst is warned of and what the authority may set."""

from __future__ import annotations

from sandbox.workspaces.gate.meter import Meter, today
from shuzha.server.portal_app import API
from tests.portal_kit import PortalCity
from tests.unit.portal.conftest import csrf_of, post

MIB = 1024**2


def show(city: PortalCity, size: int) -> None:
    """Count as the gate would; an end of it gives back what was reserved."""
    found = city.platform.workspaces.get_workspace(city.people["authority"], city.made["workspace"])
    meter = Meter(city.platform.hub_settings.usage, default_budget=0, day=today)
    meter.add(found.name, "kernelws", shown=size, messages=3)
    meter.close()


def test_authority_sets_the_budget_on_the_page_and_everybody_sees_it(sign_in, city: PortalCity) -> None:
    page = f"/workspaces/{city.made['workspace']}"
    show(city, 50 * MIB)
    assert "nearly used" not in sign_in("analyst").get(page).text
    done = post(sign_in("authority"), f"{page}/screen-budget", mebibytes="60", span="lasting", reason="as agreed")
    assert (done.status_code, done.headers["location"]) == (303, f"{page}?done=set")
    for login in ("analyst", "regulator", "authority"):
        text = sign_in(login).get(page).text
        assert "Kernel output" in text
        assert "50 MiB" in text
        assert "nearly used" in text
        assert "as agreed" in text
        assert ("Change the screen budget" in text) is (login == "authority")
    assert "内核输出" in sign_in("analyst", "zh").get(page).text
    show(city, 20 * MIB)
    assert "is used up" in sign_in("analyst").get(page).text
    post(sign_in("authority"), f"{page}/screen-budget", mebibytes="500", span="today", reason="one large figure")
    assert "is used up" not in sign_in("analyst").get(page).text


def test_nobody_else_sets_it_and_no_nonsense_is_set(sign_in, city: PortalCity) -> None:
    page = f"/workspaces/{city.made['workspace']}/screen-budget"
    for login in ("analyst", "regulator", "operator"):
        assert post(sign_in(login), page, mebibytes="60", reason="mine").status_code == 403
    for mebibytes, reason in (("much", "why"), ("-1", "why"), ("99999999", "why"), ("60", " ")):
        assert post(sign_in("authority"), page, mebibytes=mebibytes, reason=reason).status_code == 422


def test_screen_is_read_and_set_over_the_api_too(sign_in, city: PortalCity) -> None:
    url = f"{API}/workspaces/{city.made['workspace']}"
    body = {"budget": 700 * MIB, "reason": "over the interface", "lasting": True}
    authority, regulator = sign_in("authority"), sign_in("regulator")
    made = authority.post(f"{url}/screen-budget", json=body, headers={"X-CSRF-Token": csrf_of(authority)})
    assert made.status_code == 200, made.text
    refused = regulator.post(f"{url}/screen-budget", json=body, headers={"X-CSRF-Token": csrf_of(regulator)})
    assert refused.status_code == 403
    seen = regulator.get(f"{url}/screen", headers={"Accept": "application/json"}).json()
    assert seen["today"]["budget"] == 700 * MIB
    assert seen["decisions"][0]["reason"] == "over the interface"
    assert set(seen["today"]["classes"]) <= {"kernelws", "contents", "http", "unsettled"}

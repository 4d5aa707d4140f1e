"""Own files in the portal: brought on the workspace's page, judged on their own."""

from __future__ import annotations

import re

from tests.inbound_kit import BRANCHES
from tests.portal_kit import PortalCity
from tests.unit.portal.conftest import csrf_of, post


def test_an_analyst_brings_a_file_and_says_what_it_is_for(sign_in, city: PortalCity) -> None:
    client, inbound = sign_in("analyst"), city.platform.inbound
    workspace = f"/workspaces/{city.made['workspace']}"
    token = csrf_of(client, workspace)
    files = {"file": ("branches.csv", BRANCHES, "text/csv")}
    assert client.post(f"{workspace}/imports", files=files).status_code == 403, "a form without the session's text"
    brought = client.post(f"{workspace}/imports", params={"csrf": token}, files=files)
    assert brought.status_code == 303
    path = brought.headers["location"].split("?")[0]
    assert "The platform is at work" in client.get(path).text
    inbound.read(path.removeprefix("/imports/"))
    page = client.get(path).text
    assert re.findall(r'name="keep" value="([a-z_]+)" checked', page) == ["district_code", "branches", "opened"]
    assert 'value="resident_id"' in page, "the column of the release that a key would join"
    given = {
        "name": "atm_places",
        "purpose": "distance",
        "origin": "own",
        "statement": "our register",
        "keep": "branches",
    }
    refused = post(client, f"{path}/submit", **{**given, "name": "social_insurance"})
    assert (refused.status_code, 'role="alert"' in refused.text) == (422, True)
    assert post(client, f"{path}/submit", **given).status_code == 303
    inbound.screen(path.removeprefix("/imports/"))
    assert path in sign_in("checker1").get("/tasks").text
    done = post(sign_in("checker1"), f"{path}/approve", reason="the scenario needs it")
    assert done.status_code == 303
    inbound.admit(path.removeprefix("/imports/"))
    assert "workbench.load(&#34;atm_places&#34;)" in client.get(path).text
    assert "atm_places" in client.get(workspace).text
    assert post(client, f"{path}/remove", reason="not needed any more").status_code == 303


def test_what_rests_on_the_release_is_on_reviewers_pages_alone(sign_in, city: PortalCity) -> None:
    path = f"/imports/{city.made['import.screened']}"
    closed = "For reviewers alone"
    assert closed in sign_in("checker1").get(path).text
    assert closed in sign_in("authority").get(path).text
    for login in ("analyst", "operator"):
        page = sign_in(login).get(path).text
        assert closed not in page
        assert "in the release" not in page.replace("sees who of it is in the release", "")


def test_a_colleagues_button_says_why_it_is_grey(sign_in, city: PortalCity) -> None:
    path = f"/imports/{city.made['import.screened']}"
    page = sign_in("analyst").get(path).text
    assert f'action="{path}/approve"' not in page or "disabled" in page
    answer = post(sign_in("operator"), f"{path}/approve", reason="ours")
    assert answer.status_code in (403, 409)
    assert city.platform.inbound.get_import(city.people["operator"], city.made["import.screened"]).state == "screened"

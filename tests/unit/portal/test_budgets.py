"""The privacy budget on the pages: set by whom it concerns, shown where it is asked for."""

from __future__ import annotations

from tests.portal_kit import PortalCity
from tests.unit.portal.conftest import post


def test_budget_is_set_by_the_provider_and_shown_on_entry_and_workspace(sign_in, city: PortalCity) -> None:
    entry, workspace = f"/entries/{city.made['entry']}", f"/workspaces/{city.made['workspace']}"
    assert "none: no noisy answers" in sign_in("authority").get(workspace).text
    assert "No budget was set" in sign_in("provider").get(entry).text
    fields = {"epsilon": "2", "delta": "1e-6", "reason": "as agreed", "authorization": ""}
    done = post(sign_in("provider"), f"{entry}/budget", **fields)
    assert (done.status_code, done.headers["location"]) == (303, f"{entry}?done=set")
    assert "epsilon 2, delta 1e-06" in sign_in("provider", "en").get(entry).text
    assert "epsilon 2 of 2" in sign_in("authority").get(workspace).text
    share = fields | {"epsilon": "1", "authorization": city.made["authorization"]}
    assert post(sign_in("authority"), f"{entry}/budget", **share).status_code == 303
    assert f"Share of authorization {city.made['authorization']}" in sign_in("authority").get(entry).text


def test_senseless_budget_is_refused_on_the_page(sign_in, city: PortalCity) -> None:
    entry = f"/entries/{city.made['entry']}"
    for epsilon in ("much", "-1", "1000000"):
        refused = post(sign_in("provider"), f"{entry}/budget", epsilon=epsilon, delta="0", reason="x")
        assert refused.status_code == 422


def test_operator_sees_no_form_and_sets_no_budget(sign_in, city: PortalCity) -> None:
    entry = f"/entries/{city.made['entry']}"
    assert "Set the budget" not in sign_in("operator").get(entry).text
    assert post(sign_in("operator"), f"{entry}/budget", epsilon="1", delta="0", reason="x").status_code == 403

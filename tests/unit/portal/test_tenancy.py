"""What one may not see does not exist; what one may not do says why."""

from __future__ import annotations

import pytest

from sandbox.airlock.model import ExportState
from tests.portal_kit import PortalCity
from tests.unit.portal.conftest import post

NOT_THEIRS = [
    ("consumer", "/exports/{export}"),
    ("operator", "/people/acc_none"),
    ("operator", "/exits/ext_none"),
    ("consumer", "/releases/{release}"),
    ("consumer", "/workspaces/{workspace}"),
    ("consumer", "/authorizations/{authorization}"),
    ("consumer", "/statements/{statement.provider}"),
    ("provider", "/statements/{statement.bill}"),
    ("operator", "/statements/{statement.bill}"),
    ("analyst", "/entries/{entry.submitted}"),
    ("checker1", "/workspaces/{workspace}"),
    ("operator", "/keys/{key}"),
    ("operator", "/apps/{app}"),
    ("admin", "/exports/{export}"),
    ("admin", "/products/{product}"),
    ("auditor", "/entries/{entry}"),
]


@pytest.mark.parametrize(("login", "path"), NOT_THEIRS)
def test_a_page_of_others_does_not_exist(sign_in, city: PortalCity, login: str, path: str) -> None:
    for name, identifier in city.made.items():
        path = path.replace(f"{{{name}}}", identifier)
    assert sign_in(login).get(path).status_code == 404


@pytest.mark.parametrize(
    ("login", "path"),
    [("consumer", "/people"), ("checker1", "/people"),
     ("provider", "/oversight"), ("operator", "/audit"), ("regulator", "/accounts"), ("consumer", "/host"),
     ("auditor", "/oversight"), ("admin", "/audit")],
)  # fmt: skip
def test_a_page_for_another_duty_is_refused(sign_in, login: str, path: str) -> None:
    assert sign_in(login).get(path).status_code == 403


def test_the_navigation_leads_only_where_one_may_go(sign_in) -> None:
    import re

    for login in ("provider", "authority", "operator", "analyst", "checker1", "registry", "consumer", "regulator",
                  "auditor", "admin"):  # fmt: skip
        client = sign_in(login)
        menu = client.get("/tasks").text.split('<nav class="main"')[1].split("</nav>")[0]
        for path in re.findall(r'href="([^"]+)"', menu):
            assert client.get(path).status_code == 200, (login, path)


def test_a_verb_of_others_is_refused_with_its_reason_and_changes_nothing(sign_in, city: PortalCity) -> None:
    client = sign_in("provider")
    path = f"/entries/{city.made['entry.returned']}"
    answer = post(client, f"{path}/publish", reason="I say so")
    assert answer.status_code in (403, 409)
    assert 'role="alert"' in answer.text
    assert "Rule:" in answer.text
    assert ">returned<" in client.get(path).text


def test_a_decision_without_a_reason_is_refused(sign_in, city: PortalCity) -> None:
    answer = post(sign_in("checker1"), f"/exports/{city.made['export.screened']}/vote", choice="approve", reason=" ")
    assert answer.status_code == 422
    assert "decision without a reason" in answer.text


def test_a_vote_is_blind_until_both_are_in(sign_in, city: PortalCity) -> None:
    page = sign_in("checker2").get(f"/exports/{city.made['export.voted']}").text
    assert "counts are large" not in page
    assert "王核" not in page


def test_a_second_vote_is_greyed_with_why(sign_in, city: PortalCity) -> None:
    page = sign_in("checker1").get(f"/exports/{city.made['export.voted']}").text
    assert "in this round" in page
    assert '<button disabled aria-describedby="why-vote">' in page


def test_the_authors_unit_reads_no_content_before_the_release(sign_in, city: PortalCity) -> None:
    page = sign_in("analyst").get(f"/exports/{city.made['export.screened']}").text
    assert 'id="grounds"' not in page, "what cells rest on has figures of what has not left"
    assert "it has not left yet" in page
    assert '<table class="sheet">' not in page
    assert sign_in("analyst").get(f"/exports/{city.made['export.screened']}/files/by_district").status_code == 403


def test_the_code_waits_for_the_end_of_the_public_notice(sign_in, city: PortalCity) -> None:
    client = sign_in("registry")
    path = f"/products/{city.made['product.notice']}"
    assert "its public notice runs to" in client.get(path).text
    answer = post(client, f"{path}/code")
    assert answer.status_code == 422
    assert "its public notice runs to" in answer.text


def test_a_price_that_is_none_is_refused(sign_in, city: PortalCity) -> None:
    answer = post(sign_in("operator"), f"/products/{city.made['product']}/price", yuan="0.00001")
    assert answer.status_code == 422
    assert "at most four places" in answer.text


def test_the_secret_of_a_key_is_shown_once(sign_in, city: PortalCity) -> None:
    client = sign_in("consumer")
    answer = post(client, "/keys", product=city.made["product"], name="second", purposes="loan-review")
    assert answer.status_code == 201
    secret = answer.text.split("szk_")[1].split("<")[0]
    assert answer.headers["cache-control"] == "no-store"
    page = client.get(f"/products/{city.made['product']}").text
    assert "second" in page
    assert secret not in page


def test_a_statements_shares_sum_to_what_is_due(sign_in, city: PortalCity) -> None:
    page = sign_in("regulator").get(f"/statements/{city.made['statement.bill']}").text
    assert "equals what is due" in page
    assert "digest holds" in page


def test_an_upload_streams_and_its_form_is_believed_by_the_address(sign_in, city: PortalCity) -> None:
    from tests.unit.portal.conftest import csrf_of

    client = sign_in("provider")
    path = f"/entries/{city.made['entry']}"
    files = {"batch": ("rows.csv", b"resident_id,period\n1,2026-02\n", "text/csv")}
    refused = client.post(f"{path}/batches?mode=full&csrf=forged", files=files)
    assert refused.status_code == 403
    taken = client.post(f"{path}/batches?mode=append&csrf={csrf_of(client)}", files=files)
    assert taken.status_code == 303
    assert "rows" in client.get(path).text
    empty = client.post(f"{path}/batches?mode=nonsense&csrf={csrf_of(client)}", files=files)
    assert empty.status_code == 422


def test_tasks_lead_to_things_that_await_the_person(sign_in, city: PortalCity) -> None:
    for login, key in (("authority", "entry.submitted"), ("provider", "demand.checked"), ("operator", "demand.bare"),
                       ("checker1", "export.screened"), ("analyst", "export.returned")):  # fmt: skip
        assert city.made[key] in sign_in(login).get("/tasks").text, (login, key)


def test_an_export_can_be_asked_for_from_the_workspaces_page(sign_in, city: PortalCity) -> None:
    answer = post(
        sign_in("analyst"), f"/workspaces/{city.made['workspace']}/exports", notebook="coverage", title="from the page",
        context="for a test",
    )  # fmt: skip
    assert answer.status_code == 303
    identifier = answer.headers["location"].split("/")[-1].split("?")[0]
    found = city.platform.airlock.get_export(city.people["analyst"], identifier)
    assert found.state is ExportState.SUBMITTED


def test_a_regulator_walks_a_bills_line_back_to_the_providers_file(sign_in, city: PortalCity) -> None:
    client = sign_in("regulator")
    page = client.get(f"/oversight/lines/{city.made['statement.bill']}/0").text
    assert "every link holds" in page
    assert "the receipt is of the file that was received" in page
    usage_id = page.split('class="meta"><span>usg_')[1].split("<")[0]
    answer = client.get(f"/oversight/uses?usage_id=usg_{usage_id}")
    assert answer.headers["location"] == f"/oversight/uses/usg_{usage_id}"
    assert sign_in("consumer").get(f"/oversight/uses/usg_{usage_id}").status_code == 403


def test_reviewer_sees_what_each_cell_rests_on(sign_in, city: PortalCity) -> None:
    page = sign_in("checker1", "en").get(f"/exports/{city.made['export.screened']}").text
    table = page.partition('id="grounds"')[2].partition("</section>")[0]
    assert "Distinct entities" in table
    assert table.count("<tr>") > 1
    assert "never sees these figures" in table


def test_only_the_authority_changes_a_rule_and_everybody_sees_it(sign_in, city: PortalCity) -> None:
    asked = {"parameter": "min_entities", "value": "12", "reason": "a new handbook"}
    assert post(sign_in("checker1"), "/exports/rules", **asked).status_code == 403
    authority = sign_in("authority", "en")
    for value in ("1.5", "twelve", "10", "-1"):
        assert post(authority, "/exports/rules", **(asked | {"value": value})).status_code == 422
    set_now = post(authority, "/exports/rules", **asked)
    assert set_now.status_code == 303
    shown = authority.get(set_now.headers["location"]).text
    assert "in force from now on" in shown, "one is led back to the rules, not to the list of requests"
    page = sign_in("analyst", "en").get("/exports?show=rules").text
    assert "a new handbook" in page
    assert "default 10" in page
    assert 'name="parameter"' not in page
    back = asked | {"value": "10", "reason": "the handbook was withdrawn"}
    assert post(authority, "/exports/rules", **back).status_code in (200, 303)


def test_tasks_tell_what_others_did_to_ones_requests(sign_in, city: PortalCity) -> None:
    page = sign_in("analyst", "en").get("/tasks").text
    lately = page.partition('id="lately"')[2].partition("</section>")[0]
    assert f"/exports/{city.made['export.returned']}" in lately
    assert ">returned</span>" in lately
    assert f"/exports/{city.made['export']}" not in lately, "it left long ago"
    assert f"/exports/{city.made['export.screened']}" not in lately, "nobody has done anything to it"
    assert 'id="lately"' not in sign_in("consumer").get("/tasks").text

"""Apps, the scope of keys and their rotation, as a consumer meets them on pages."""

from __future__ import annotations

import re

from tests.portal_kit import PortalCity
from tests.unit.portal.conftest import post

SECRET = re.compile(r"szk_[a-z0-9]{8}_[\w-]{43}")


def test_a_consumer_makes_an_app_and_a_narrow_key_for_it(sign_in, city: PortalCity) -> None:
    client = sign_in("consumer")
    made = post(client, "/apps", name="贷后系统", about="after the loan")
    assert made.status_code == 303
    app = made.headers["location"].split("?")[0]
    answer = post(
        client, "/keys", product=city.made["product"], name="narrow", purposes="loan-review", uses="verify",
        app=app.split("/")[-1], networks="203.0.113.0/24, 2001:db8::/32", last_day="2031-01-31",
    )  # fmt: skip
    assert answer.status_code == 201
    assert len(SECRET.findall(answer.text)) == 1
    page = client.get(app).text
    assert "narrow" in page
    assert "2031" in page
    key = re.search(r"/keys/(key_[0-9a-z]+)", page)
    assert key is not None
    shown = client.get(key[0]).text
    assert "203.0.113.0/24, 2001:db8::/32" in shown
    assert SECRET.search(shown) is None
    rotated = post(client, f"{key[0]}/rotate", overlap="0")
    assert rotated.status_code == 201
    assert len(SECRET.findall(rotated.text)) == 1
    assert ">ended<" in client.get(app).text


def test_a_form_that_names_no_network_or_day_is_refused(sign_in, city: PortalCity) -> None:
    client = sign_in("consumer")
    form = {"product": city.made["product"], "name": "x", "purposes": "loan-review"}
    assert post(client, "/keys", **form, networks="everywhere").status_code == 422
    assert post(client, "/keys", **form, last_day="soon").status_code == 422
    assert post(client, f"/keys/{city.made['key']}/rotate", overlap="721").status_code == 422


def test_an_apps_page_says_what_is_used_now(sign_in, city: PortalCity) -> None:
    page = sign_in("consumer").get(f"/apps/{city.made['app']}").text
    live = page.partition('id="live"')[2].partition("</div>\n    </section>")[0]
    assert "Insurance check" in live
    keys = city.platform.consumers.list_keys(city.people["consumer"], app=city.made["app"])
    used = city.platform.usage_now.of_keys(city.people["consumer"], city.made["app"])
    now = city.platform.usage_now.of_app(city.people["consumer"], city.made["app"])
    assert sum(one.today for one in used.values()) == sum(one.today for one in now) == 43
    assert used[city.made["key"]].last is not None
    assert len(keys) >= 1


def test_the_authority_stops_an_app_and_lets_it_go_on(sign_in, city: PortalCity) -> None:
    authority = sign_in("authority")
    path = f"/apps/{city.made['app']}"
    assert post(authority, f"{path}/suspend", reason="odd volume at night").status_code == 303
    assert "odd volume at night" in sign_in("consumer").get(path).text
    assert post(authority, f"{path}/restore", reason="explained").status_code == 303
    assert post(sign_in("regulator"), f"{path}/suspend", reason="x").status_code in (403, 404, 409)

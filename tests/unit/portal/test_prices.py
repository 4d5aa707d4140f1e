"""Prices on pages: a plan is published from its form, shown in words, and refused where it makes no sense."""

from __future__ import annotations

import re

import pytest

from tests.portal_kit import PortalCity


def csrf_of(page: str) -> str:
    return re.search(r'name="csrf" value="([^"]+)"', page)[1]


def send(client, city: PortalCity, form: dict[str, str], what: str = "prices"):
    place = f"/products/{city.made['product']}"
    token = csrf_of(client.get(f"{place}/prices").text)
    return client.post(f"{place}/{what}", data={"csrf": token, **form}, follow_redirects=True)


def test_a_plan_is_published_and_said_in_words_to_whom_it_is_for(sign_in, city: PortalCity) -> None:
    operator = sign_in("operator", "en")
    tiers = "100, 0.03, 0.5\n-, 0.012"
    form = {"kind": "graduated", "valid_from": "2099-05-01", "tiers": tiers, "consumer": "org_nobody"}
    page = send(operator, city, form).text
    assert "to 100: ¥0.03 + ¥0.50" in page
    assert "beyond: ¥0.012" in page
    form = {"kind": "subscription", "valid_from": "2099-06-01", "fee": "500", "count": "20000", "yuan": "0.015"}
    assert "¥500.00 a month with 20,000 uses, then ¥0.015 a use" in send(operator, city, form).text
    seen = sign_in("consumer", "en").get(f"/products/{city.made['product']}/prices").text
    assert "¥500.00 a month" in seen
    assert "to 100" not in seen
    assert "Publish a plan" not in seen


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"kind": "per_call", "yuan": "0.1", "valid_from": "2020-01-01"}, "cannot price from 2020-01-01"),
        ({"kind": "volume", "tiers": "10, 1\n5, 1", "valid_from": "2099-05-01"}, "a price plan is refused: tiers"),
        (
            {"kind": "subscription", "fee": "1", "count": "2", "yuan": "1", "valid_from": "2099-05-02"},
            "the first of one",
        ),
        ({"kind": "package", "fee": "0.001", "count": "2", "valid_from": "2099-05-01"}, "a fee is in yuan and fen"),
        ({"kind": "gift", "valid_from": "2099-05-01"}, "a price plan is refused"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_its_rule(sign_in, city: PortalCity, form, said: str) -> None:
    answer = send(sign_in("operator", "en"), city, form)
    assert answer.status_code == 422
    assert said in answer.text


def test_the_authority_sets_a_ceiling_that_binds_the_next_plan(sign_in, city: PortalCity) -> None:
    form = {"yuan": "0.02", "valid_from": "2099-08-01", "source": "发改价格〔2099〕1号"}
    assert "发改价格〔2099〕1号" in send(sign_in("authority", "en"), city, form, "ceilings").text
    dear = {"kind": "per_call", "yuan": "0.03", "valid_from": "2099-09-01"}
    assert "more than the ceiling allows" in send(sign_in("operator", "en"), city, dear).text

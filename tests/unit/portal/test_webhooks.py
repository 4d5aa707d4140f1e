"""Webhooks as a consumer meets them on pages: made with a secret shown once, tried, seen, switched off."""

from __future__ import annotations

import re

from tests.portal_kit import PortalCity
from tests.unit.portal.conftest import post

SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")


def test_a_consumer_makes_tries_and_removes_a_webhook(sign_in, city: PortalCity) -> None:
    client = sign_in("consumer")
    refused = post(client, "/webhooks", app=city.made["app"], url="http://example.com/hook", types="key.expiring")
    assert refused.status_code == 422
    made = post(
        client, "/webhooks", app=city.made["app"], url="https://example.com/hook",
        types=["key.expiring", "statement.issued"],
    )  # fmt: skip
    assert made.status_code == 201
    assert len(SECRET.findall(made.text)) == 1
    path = re.search(r"/webhooks/whk_[0-9a-z]+", made.text)[0]
    page = client.get(path).text
    assert SECRET.search(page) is None
    assert "Nothing was sent yet." in page
    assert post(client, f"{path}/try").status_code == 303
    assert "webhook.test" in client.get(path).text
    rotated = post(client, f"{path}/rotate")
    assert SECRET.findall(rotated.text) != SECRET.findall(made.text)
    assert "https://example.com/hook" in client.get(f"/apps/{city.made['app']}").text
    assert post(client, f"{path}/disable", reason="moving").status_code == 303
    assert "moving" in client.get(path).text
    assert sign_in("operator").get(path).status_code == 404
    assert post(client, f"{path}/remove", reason="moved").status_code == 303
    assert path not in client.get(f"/apps/{city.made['app']}").text

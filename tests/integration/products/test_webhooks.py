"""Webhooks against a live receiver on this host: signed, tried again, switched off, never led home."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import hmac
import http.server
import ipaddress
import json
import socket
import threading
import time
from dataclasses import dataclass, field

import pytest

from products.consumers import posting
from products.consumers.delivering import Deliveries
from products.consumers.noticing import Notices
from products.consumers.posting import is_allowed, read_private, send
from products.consumers.webhook_model import (
    MAX_FAILURES,
    RETRIES,
    DeliveryState,
    Notice,
    NoticeType,
    WebhookState,
    check_url,
)
from products.consumers.webhooks import WebhookService
from shuzha.core.actor import platform_actor
from shuzha.core.errors import Invalid, NotFound
from tests.integration.products.conftest import wait_until
from tests.serving_kit import ServingCity

LOOPBACK = read_private("127.0.0.0/8")


@dataclass
class Receiver:
    """A server of somebody else's: it keeps what it gets and answers as told."""

    status: int = 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                if receiver.status == 302:
                    self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook?from=shuzha"


def verified(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """Do as a receiver does, by the text of Standard Webhooks alone."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return expected in headers["webhook-signature"].split(" ")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return ServingCity(tmp_path_factory.mktemp("webhooks"))


@pytest.fixture
def receiver():
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def hooks(made):
    return WebhookService(made.city.database, made.city.policies, made.city.keys, LOOPBACK)


@pytest.fixture
def way(made, hooks):
    return Deliveries(made.city.database, hooks, LOOPBACK)


@pytest.fixture
def app(made):
    return made.city.apps.create_app(made.city.consumer, "loans")


def notice(made, about: str = "evt_1", **changes: object) -> Notice:
    told = {"product": made.product.code}
    return Notice(**({"type": NoticeType.PRODUCT_SUSPENDED, "organisation": made.city.consumer.organisation,
                      "about": about, "data": told} | changes))  # fmt: skip


def hook(made, hooks, app, receiver, *types):
    return hooks.create_webhook(made.city.consumer, app.id, receiver.url, types or (NoticeType.PRODUCT_SUSPENDED,))


def test_a_notice_reaches_its_receiver_signed(made, hooks, way, app, receiver) -> None:
    new = hook(made, hooks, app, receiver)
    (delivery,) = way.announce((notice(made, app=app.id),))
    assert way.deliver(delivery).state is DeliveryState.DELIVERED
    ((headers, body),) = receiver.got
    assert verified(headers, body, new.secret)
    assert not verified(headers, body + b" ", new.secret)
    assert headers["webhook-id"] == delivery
    told = json.loads(body)
    assert told["type"] == "product.suspended"
    assert told["data"] == {"product": made.product.code}
    assert dt.datetime.fromisoformat(told["timestamp"]) == made.city.clock.now()
    assert way.deliver(delivery) is None, "what was delivered is not sent again"


def test_the_secret_is_shown_once_and_stands_in_no_record(made, hooks, app, receiver) -> None:
    new = hook(made, hooks, app, receiver)
    assert new.secret.startswith("whsec_")
    assert new.secret not in repr(new)
    raw = base64.b64decode(new.secret.removeprefix("whsec_"))
    kept = (made.folder / "records.db").read_bytes() + (made.folder / "records.db-wal").read_bytes()
    assert raw not in kept
    assert new.secret.removeprefix("whsec_").encode() not in kept
    assert len(raw) >= 24


def test_a_rotated_secret_signs_beside_the_older_one_for_a_day(made, hooks, way, app, receiver) -> None:
    old = hook(made, hooks, app, receiver)
    new = hooks.rotate_webhook(made.city.consumer, old.webhook.id)
    assert new.secret != old.secret
    (first,) = way.announce((notice(made, "evt_2", app=app.id),))
    way.deliver(first)
    made.city.clock.advance(dt.timedelta(hours=25))
    (second,) = way.announce((notice(made, "evt_3", app=app.id),))
    way.deliver(second)
    assert [verified(*got, old.secret) for got in receiver.got] == [True, False]
    assert [verified(*got, new.secret) for got in receiver.got] == [True, True]


def test_what_was_told_is_not_told_twice_and_only_who_asked_is_told(made, hooks, way, app, receiver) -> None:
    hook(made, hooks, app, receiver)
    other = made.city.apps.create_app(made.city.consumer, "cards")
    hook(made, hooks, other, receiver, NoticeType.INDEX_REFRESHED)
    told = notice(made, "evt_4", app=app.id)
    assert len(way.announce((told, told))) == 1
    assert way.announce((told,)) == ()
    assert way.announce((notice(made, "evt_5", app=other.id),)) == ()
    assert way.announce((notice(made, "evt_6", organisation="org_shop"),)) == ()
    assert way.announce((notice(made, "evt_7", app=app.id, type=NoticeType.INDEX_REFRESHED),)) == ()


def test_a_failed_attempt_is_made_again_with_growing_pauses_and_logged(made, hooks, way, app, receiver) -> None:
    new = hook(made, hooks, app, receiver)
    receiver.status = 503
    (delivery,) = way.announce((notice(made, "evt_8", app=app.id),))
    for pause in RETRIES[:3]:
        found = way.deliver(delivery)
        assert found.next_at - made.city.clock.now() == pause
        assert way.deliver(delivery) is None, "it is not due yet"
        made.city.clock.advance(pause)
        assert delivery in way.list_due()
    receiver.status = 200
    found = way.deliver(delivery)
    assert (found.state, [one.status for one in found.attempts]) == (DeliveryState.DELIVERED, [503, 503, 503, 200])
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len({headers["webhook-signature"] for headers, _ in receiver.got}) == 4, "each attempt has its own time"
    (shown,) = [one for one in hooks.list_deliveries(made.city.consumer, new.webhook.id) if one.id == delivery]
    assert shown == found
    assert hooks.get_webhook(made.city.consumer, new.webhook.id).failures == 0


def test_many_failures_in_a_row_switch_a_webhook_off(made, hooks, way, app, receiver) -> None:
    new = hook(made, hooks, app, receiver)
    receiver.status = 500
    ids = way.announce(tuple(notice(made, f"many_{number}", app=app.id) for number in range(MAX_FAILURES + 2)))
    for one in ids:
        way.deliver(one)
    found = hooks.get_webhook(made.city.consumer, new.webhook.id)
    assert (found.state, len(receiver.got)) == (WebhookState.DISABLED, MAX_FAILURES)
    assert "20 attempts failed" in found.reason
    assert way.announce((notice(made, "evt_9", app=app.id),)) == (), "while it is off nothing is kept for it"
    with pytest.raises(Invalid, match="is disabled"):
        hooks.try_webhook(made.city.consumer, new.webhook.id)
    assert hooks.enable_webhook(made.city.consumer, new.webhook.id).failures == 0


def test_a_receiver_that_is_gone_is_not_asked_again(made, hooks, way, app, receiver) -> None:
    new = hook(made, hooks, app, receiver)
    receiver.status = 410
    (delivery,) = way.announce((notice(made, "evt_10", app=app.id),))
    assert way.deliver(delivery).state is DeliveryState.FAILED
    assert hooks.get_webhook(made.city.consumer, new.webhook.id).state is WebhookState.DISABLED


def test_a_delivery_is_given_up_after_its_last_attempt_and_can_be_replayed(made, hooks, way, app, receiver) -> None:
    hook(made, hooks, app, receiver)
    receiver.status = 404
    (delivery,) = way.announce((notice(made, "evt_11", app=app.id),))
    with pytest.raises(Invalid, match="is on its way"):
        hooks.replay_delivery(made.city.consumer, delivery)
    for pause in (*RETRIES, dt.timedelta()):
        found = way.deliver(delivery)
        made.city.clock.advance(pause)
    assert (found.state, len(found.attempts)) == (DeliveryState.FAILED, len(RETRIES) + 1)
    receiver.status = 200
    with pytest.raises(NotFound):
        hooks.replay_delivery(made.city.other_consumer, delivery)
    hooks.replay_delivery(made.city.consumer, delivery)
    assert way.deliver(delivery).state is DeliveryState.DELIVERED


def test_a_worker_that_dies_while_it_sends_leaves_a_claim_that_runs_out(made, hooks, app, receiver) -> None:
    hook(made, hooks, app, receiver)

    def die(*_: object) -> None:
        raise SystemExit

    dying = Deliveries(made.city.database, hooks, LOOPBACK, die)
    (delivery,) = dying.announce((notice(made, "evt_12", app=app.id),))
    with pytest.raises(SystemExit):
        dying.deliver(delivery)
    way = Deliveries(made.city.database, hooks, LOOPBACK)
    assert way.deliver(delivery) is None
    made.city.clock.advance(dt.timedelta(seconds=61))
    assert delivery in way.list_due()
    assert way.deliver(delivery).state is DeliveryState.DELIVERED


def test_no_redirect_is_followed(receiver) -> None:
    receiver.status = 302
    assert send(receiver.url, {}, b"{}", LOOPBACK).status == 302
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
     "64:ff9b::7f00:1", "2002:7f00:1::1", "ff02::1"],
)  # fmt: skip
def test_a_private_address_is_not_allowed_in_any_dress(address) -> None:
    assert not is_allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_a_public_address_is_allowed(address) -> None:
    assert is_allowed(ipaddress.ip_address(address), ())


def test_a_receiver_that_drips_its_answer_is_hung_up_on(monkeypatch) -> None:
    monkeypatch.setattr(posting, "SECONDS", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            talk, _ = server.accept()
            with talk, contextlib.suppress(OSError):
                for letter in b"HTTP/1.1 200 OK\r\n" * 100:
                    talk.sendall(bytes([letter]))
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        outcome = send(f"http://127.0.0.1:{server.getsockname()[1]}/", {}, b"{}", LOOPBACK)
    assert (outcome.status, outcome.milliseconds < 2_000) == (0, True)


def test_a_name_that_leads_home_is_not_followed(receiver, monkeypatch) -> None:
    port = receiver.server.server_port
    for name in ("localhost", "127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"):
        outcome = send(f"http://{name}:{port}/hook", {}, b"{}")
        assert outcome.status == 0, name
    # One private address among public ones is enough: the next look-up could give that one.
    both = [(0, 0, 0, "", ("93.184.216.34", 80)), (0, 0, 0, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(posting.socket, "getaddrinfo", lambda *_, **__: both)
    assert "not allowed" in send(f"http://rebinding.example:{port}/", {}, b"{}").why
    assert receiver.got == []


def test_the_checked_address_is_the_one_that_is_connected_to(receiver, monkeypatch) -> None:
    looked_up = []

    def changing(*_: object, **__: object) -> list[object]:
        looked_up.append(1)
        return [(0, 0, 0, "", ("127.0.0.1" if len(looked_up) == 1 else "10.255.255.1", 0))]

    monkeypatch.setattr(posting.socket, "getaddrinfo", changing)
    outcome = send(f"http://changing.example:{receiver.server.server_port}/", {}, b"{}", LOOPBACK)
    assert (outcome.status, len(looked_up)) == (204, 1)
    assert receiver.got[0][0]["host"].startswith("changing.example")


@pytest.mark.parametrize(
    "url",
    ["http://example.com/hook", "ftp://example.com", "https://", "https://user:pw@example.com/", "https://example.com/#a",
     "https://example.com:22/", "https://example.com:99999/", "https://exämple.com/", "https://example.com/a b",
     "https://example.com/" + "a" * 500, "", "javascript:alert(1)"],
)  # fmt: skip
def test_an_odd_address_is_refused(url) -> None:
    with pytest.raises(Invalid, match="refuses this address"):
        check_url(url, private=False)
    check_url("https://example.com:8443/hook?x=1", private=False)
    check_url("http://10.1.2.3:9000/hook", private=True)


def test_one_consumer_sees_nothing_of_anothers_webhooks(made, hooks, app, receiver) -> None:
    new = hook(made, hooks, app, receiver)
    stranger = made.city.other_consumer
    assert hooks.list_webhooks(stranger, app.id) == ()
    for verb in (hooks.get_webhook, hooks.rotate_webhook, hooks.try_webhook, hooks.list_deliveries):
        with pytest.raises(NotFound):
            verb(stranger, new.webhook.id)
    with pytest.raises(NotFound):
        hooks.disable_webhook(stranger, new.webhook.id, "mine")
    with pytest.raises(NotFound):
        hooks.create_webhook(stranger, app.id, receiver.url, (NoticeType.TEST,))


def test_events_become_notices_of_the_apps_that_have_a_key(made, hooks, app) -> None:
    from products.consumers.model import Scope

    city = made.city
    made.key(scope=Scope(app=app.id))
    theirs = made.key(who=city.other_consumer)
    notices = Notices(city.database, made.folder / "usage")
    before = city.database.last_sequence()
    city.registry.suspend(city.operator, made.product.id, "objection under review")
    city.registry.restore(city.operator, made.product.id, "answered")
    city.registry.suspend(city.operator, made.product.id, "its export was recalled: wrong rows")
    city.registry.restore(city.operator, made.product.id, "answered")
    city.index.run_build(made.product.id)
    city.api_keys.suspend_key(city.authority, theirs.key.id, "odd pattern")
    city.api_keys.restore_key(city.authority, theirs.key.id, "explained")
    found = [one for event in city.database.events_after(before) for one in notices.of(event)]
    own = [one.type.value for one in found if one.app == app.id]
    assert own[:4] == ["product.suspended", "product.restored", "product.recalled", "product.restored"]
    suspended = next(one for one in found if one.type is NoticeType.KEY_SUSPENDED)
    assert (suspended.organisation, suspended.data["reason"]) == (city.other_consumer.organisation, "odd pattern")
    assert found[0].data["reason"] == "objection under review"
    assert {one.organisation for one in found} >= {city.consumer.organisation, city.other_consumer.organisation}


async def test_a_quota_nearly_used_and_an_end_that_is_near_are_told_once(tmp_path, receiver) -> None:
    from products.consumers.model import Scope
    from tests.serving_kit import caller

    made = ServingCity(tmp_path)
    hooks = WebhookService(made.city.database, made.city.policies, made.city.keys, LOOPBACK)
    way = Deliveries(made.city.database, hooks, LOOPBACK)
    notices = Notices(made.city.database, made.folder / "usage")
    app = made.city.apps.create_app(made.city.consumer, "loans")
    ends = made.city.clock.now() + dt.timedelta(days=15)
    key = made.key(scope=Scope(app=app.id, expires_at=ends), daily_quota=5)
    assert notices.due() == (), "nobody listens"
    hook(made, hooks, app, receiver, NoticeType.QUOTA_NEAR, NoticeType.KEY_EXPIRING)
    assert notices.due() == ()
    made.start_writer()
    try:
        parts = made.parts()
        async with caller(parts, key) as client:
            for number in range(5):
                path = f"/v1/products/{made.product.code}/verify"
                assert (await client.post(path, json=made.question(number))).status_code == 200
                expected = [] if number < 3 else [80] if number == 3 else [100]
                # The table follows the log a moment later.
                wait_until(lambda: [one.data["percent"] for one in notices.due()] == expected, 5)  # noqa: B023
        assert len(way.announce(notices.due())) == 1
        assert way.announce(notices.due()) == ()
        made.city.clock.advance(dt.timedelta(days=1))
        (near,) = notices.due()
        assert (near.type, near.data["key"]) == (NoticeType.KEY_EXPIRING, key.key.id)
        assert len(way.announce(notices.due())) == 1
        made.city.clock.advance(dt.timedelta(days=13, hours=1))
        assert len(way.announce(notices.due())) == 1, "once more on the last day"
    finally:
        made.stop_writer()


def test_old_deliveries_are_forgotten(made, hooks, way, app, receiver, monkeypatch) -> None:
    from products.consumers import delivering

    new = hook(made, hooks, app, receiver)
    monkeypatch.setattr(delivering, "KEPT_DELIVERIES", 2)
    ids = way.announce(tuple(notice(made, f"old_{number}", app=app.id) for number in range(4)))
    for one in ids:
        way.deliver(one)
    assert way.forget_old() >= 2
    assert {one.id for one in hooks.list_deliveries(made.city.consumer, new.webhook.id)} == set(ids[2:])


def test_the_platforms_own_actor_may_switch_off_and_no_more(made) -> None:
    from policies import Context, Resource

    actor, context = platform_actor("webhooks"), Context(at=made.city.clock.now())
    may = {verb: made.city.policies.can(actor, f"webhook:{verb}", Resource("webhook"), context)
           for verb in ("disable", "enable", "rotate", "create", "remove")}  # fmt: skip
    assert may == {"disable": True, "enable": False, "rotate": False, "create": False, "remove": False}

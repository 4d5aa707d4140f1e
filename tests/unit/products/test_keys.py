import datetime as dt

import pytest

from products.consumers.model import KeyState, KeyUse, Scope, digest_of, is_secret, make_secret
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from tests.products_kit import ProductCity


@pytest.fixture
def city(tmp_path):
    return ProductCity(tmp_path)


def made(city, product, scope):
    return city.api_keys.create_key(city.consumer, product.id, "x", ("loan-review",), scope=scope)


def test_a_secret_is_shown_once_and_kept_as_a_hash(city):
    product = city.verification()
    made = city.api_keys.create_key(city.consumer, product.id, "loans", ("loan-review",))
    assert is_secret(made.secret)
    assert made.key.digest == digest_of(made.secret)
    assert made.secret not in repr(made)
    assert made.secret.encode() not in (city.folder / "records.db").read_bytes()
    assert made.secret.split("_")[1] == made.key.prefix
    assert make_secret()[0] != make_secret()[0]


@pytest.mark.parametrize("purposes", [(), ("marketing",), ("loan-review", "loan-review")])
def test_create_refuses_purposes_beyond_the_product(city, purposes):
    product = city.verification()
    with pytest.raises(Invalid, match="a key refuses"):
        city.api_keys.create_key(city.consumer, product.id, "x", purposes)


def test_create_refuses_one_who_is_no_consumer(city):
    product = city.verification()
    with pytest.raises(NotAllowed):
        city.api_keys.create_key(city.operator, product.id, "x", ("loan-review",))


def test_one_consumer_sees_nothing_of_anothers_keys(city):
    product = city.verification()
    key = city.api_keys.create_key(city.consumer, product.id, "x", ("loan-review",)).key
    assert city.api_keys.list_keys(city.other_consumer) == ()
    with pytest.raises(NotFound):
        city.api_keys.get_key(city.other_consumer, key.id)
    with pytest.raises(NotAllowed):
        city.api_keys.revoke_key(city.other_consumer, key.id, "mine")
    assert city.api_keys.revoke_key(city.consumer, key.id, "lost").state is KeyState.REVOKED


def test_a_key_without_an_app_is_one_of_the_organisations_first(city):
    product = city.verification()
    first, second = (
        city.api_keys.create_key(city.consumer, product.id, name, ("loan-review",)).key for name in ("a", "b")
    )
    (app,) = city.apps.list_apps(city.consumer)
    assert first.app == second.app == app.id
    assert city.apps.list_apps(city.other_consumer) == ()
    assert first.products == (product.id,)


def test_create_refuses_an_app_of_others_and_one_that_is_closed(city):
    product = city.verification()
    theirs = city.apps.create_app(city.other_consumer, "shop")
    with pytest.raises(NotFound):
        made(city, product, Scope(app=theirs.id))
    own = city.apps.create_app(city.consumer, "loans")
    city.apps.close_app(city.consumer, own.id, "replaced")
    with pytest.raises(Invalid, match="it is closed"):
        made(city, product, Scope(app=own.id))
    with pytest.raises(NotFound):
        city.apps.close_app(city.consumer, theirs.id, "mine")


@pytest.mark.parametrize("networks", [("here",), ("0.0.0.0/0",), ("::/0",), tuple(f"10.0.{n}.0/24" for n in range(21))])
def test_create_refuses_networks_that_are_none(city, networks):
    with pytest.raises(Invalid, match="a key refuses"):
        made(city, city.verification(), Scope(networks=networks))


def test_networks_are_kept_in_one_spelling(city):
    key = made(city, city.verification(), Scope(networks=("203.0.113.9/24", "203.0.113.0/24", "2001:DB8::1"))).key
    assert key.networks == ("203.0.113.0/24", "2001:db8::1/128")


@pytest.mark.parametrize("ahead", [dt.timedelta(), dt.timedelta(days=-1), dt.timedelta(days=2000)])
def test_create_refuses_an_end_that_is_over_or_none(city, ahead):
    with pytest.raises(Invalid, match="this end"):
        made(city, city.verification(), Scope(expires_at=city.clock.now() + ahead))


def test_a_rotation_makes_a_twin_and_ends_the_older_key(city):
    product = city.verification()
    old = made(city, product, Scope(networks=("203.0.113.0/24",), uses=(KeyUse.VERIFY,)))
    new = city.api_keys.rotate_key(city.consumer, old.key.id, dt.timedelta(hours=2))
    kept = city.api_keys.get_key(city.consumer, old.key.id)
    assert kept.expires_at == city.clock.now() + dt.timedelta(hours=2)
    assert (new.key.networks, new.key.uses, new.key.app) == (old.key.networks, old.key.uses, old.key.app)
    assert (new.key.replaces, new.key.expires_at, new.key.digest == old.key.digest) == (old.key.id, None, False)
    with pytest.raises(NotFound):
        city.api_keys.rotate_key(city.other_consumer, old.key.id)
    with pytest.raises(Invalid, match="overlap"):
        city.api_keys.rotate_key(city.consumer, new.key.id, dt.timedelta(days=31))
    city.api_keys.revoke_key(city.consumer, old.key.id, "rotated")
    with pytest.raises(Invalid, match="it is not active"):
        city.api_keys.rotate_key(city.consumer, old.key.id)

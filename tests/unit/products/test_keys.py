import pytest

from products.consumers.model import KeyState, digest_of, is_secret, make_secret
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from tests.products_kit import ProductCity


@pytest.fixture
def city(tmp_path):
    return ProductCity(tmp_path)


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

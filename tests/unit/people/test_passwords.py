import pytest

from shuzha.people.passwords import Passwords


@pytest.fixture(scope="module")
def passwords():
    return Passwords(memory_kib=64, passes=1)


def test_verify_knows_the_password_in_any_width(passwords):
    kept = passwords.hash("correct-horse-7-battery")
    assert passwords.verify(kept, "correct-horse-7-battery")
    assert passwords.verify(kept, "ｃｏｒｒｅｃｔ-horse-7-battery")
    assert not passwords.verify(kept, "correct-horse-7-batterz")


def test_verify_never_lets_anyone_in_without_a_kept_hash(passwords):
    assert not passwords.verify(None, "nobody has this password")
    assert not passwords.verify("", "nobody has this password")
    assert not passwords.verify("not a hash", "x")


def test_a_hash_of_other_settings_is_outdated(passwords):
    kept = passwords.hash("correct-horse-7-battery")
    assert not passwords.is_outdated(kept)
    assert Passwords(memory_kib=128, passes=1).is_outdated(kept)
    assert Passwords().hash("x").startswith("$argon2id$v=19$m=19456,t=2,p=1$")

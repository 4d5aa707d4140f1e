"""Keys: derived as RFC 5869 says, and in nothing that leaves the process."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import desensitize
from desensitize import InvalidPlan, Plan
from desensitize.transform.expressions import build_expressions
from desensitize.transform.keys import SecretKey
from desensitize.transform.pseudonyms import _hash_sha256

KEY = bytes(range(100, 132))
PLAN = Plan.from_dict(
    {"columns": {"a": "pseudonymize", "b": "encrypt", "c": {"technique": "pseudonymize", "algorithm": "hmac-sm3"}}}
)
FRAME = pl.DataFrame({"a": ["x"] * 30, "b": ["13800138000"] * 30, "c": ["y"] * 30})


def derive(key: bytes, *parts: str) -> bytes:
    """Return HKDF-SHA-256 (RFC 5869, one block, no salt) of a key, written with HMAC alone."""
    texts = [part.encode() for part in ("shuzha desensitize 2", *parts)]
    info = b"".join(len(text).to_bytes(2, "big") + text for text in texts)
    extracted = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


SECRETS = [
    KEY,
    derive(KEY, "pseudonym", "hmac-sha256", ""),
    derive(KEY, "pseudonym", "hmac-sm3", ""),
    derive(KEY, "encrypt", "ff1"),
]


def _holds_a_secret(written: bytes) -> bool:
    forms = [form for secret in SECRETS for form in (secret, secret.hex().encode(), repr(secret).encode())]
    return any(form in written for form in forms)


def _errors_of(work: Callable[[], Any]) -> bytes:
    """Return what the work gives, or everything that its error shows."""
    try:
        made = work()
    except Exception as error:  # whatever it is, it must not hold a key
        return "".join(traceback.format_exception(error)).encode() + repr(error).encode()
    return made if isinstance(made, bytes) else repr(made).encode()


def test_derive_gives_hkdf_of_rfc_5869_with_parts_that_cannot_run_together() -> None:
    key = SecretKey(KEY)
    assert key.derive("pseudonym", "hmac-sha256", "x") == derive(KEY, "pseudonym", "hmac-sha256", "x")
    made = {key.derive(*parts) for parts in (("a", "b", ""), ("a", "", "b"), ("ab",), ("a", "b"), ("a b",))}
    assert len(made) == 5


def test_fingerprint_is_equal_for_equal_keys_and_tells_no_subkey() -> None:
    assert SecretKey(KEY).fingerprint() == SecretKey(KEY).fingerprint() == derive(KEY, "fingerprint")[:8].hex()
    assert SecretKey(KEY).fingerprint() != SecretKey(bytes(32)).fingerprint()


WAYS: dict[str, Callable[[pl.LazyFrame, SecretKey], Any]] = {
    "repr": lambda _, key: f"{key!r} {key} {key:>40}",
    "pickle the key": lambda _, key: pickle.dumps(key),
    "copy the key": lambda _, key: copy.copy(key),
    "copy the key deeply": lambda _, key: copy.deepcopy(key),
    "state of the key": lambda _, key: key.__getstate__(),
    "explain": lambda frame, _: frame.explain(),
    "explain the plan as written": lambda frame, _: frame.explain(optimized=False),
    "dot": lambda frame, _: frame.show_graph(raw_output=True),
    "serialize": lambda frame, _: frame.serialize(),
    "pickle the frame": lambda frame, _: pickle.dumps(frame),
    "repr of the frame": lambda frame, _: repr(frame),
    "expressions": lambda _, key: repr(build_expressions(PLAN, FRAME.schema, key)),
    "pickle the expressions": lambda _, key: pickle.dumps(build_expressions(PLAN, FRAME.schema, key)),
    "expressions as JSON": lambda _, key: build_expressions(PLAN, FRAME.schema, key)[0].meta.serialize(format="json"),
    "error in a batch": lambda _, key: pl.select(
        build_expressions(PLAN, {"a": pl.String(), "b": pl.String(), "c": pl.String()}, key)
    ),
    "error in the hash": lambda *_: _hash_sha256(pl.Series("v", [1.5]), SECRETS[1].hex(), 32),
}


@pytest.mark.parametrize("way", WAYS)
def test_key_is_in_nothing_that_can_be_written_down(way: str) -> None:
    frame = desensitize.apply(FRAME, PLAN, key=KEY).frame
    assert not _holds_a_secret(_errors_of(lambda: WAYS[way](frame, SecretKey(KEY))))


def test_key_is_in_no_release_certificate_plan_file_or_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    release = desensitize.apply(FRAME, PLAN, key=KEY)
    written = release.write(tmp_path / "out")
    texts = [repr(release), json.dumps(release.certificate), PLAN.to_toml(), caplog.text, repr(vars(release))]
    assert not any(_holds_a_secret(text.encode()) for text in texts)
    assert not any(_holds_a_secret(path.read_bytes()) for path in written.iterdir())
    assert release.certificate["done"]["key_fingerprint"] == SecretKey(KEY).fingerprint()


@pytest.mark.parametrize("plan", ["[columns]\na='encrypt'\nkey='00'\n", "key='00'\n[columns]\na='encrypt'\n"])
def test_plan_refuses_to_hold_a_key(plan: str) -> None:
    with pytest.raises(InvalidPlan):
        Plan.from_toml(plan)


def test_two_authorizations_share_no_pseudonym_and_one_shares_all() -> None:
    frame = pl.DataFrame({"a": [str(n) for n in range(500)], "b": [f"{n:011}" for n in range(500)], "c": ["z"] * 500})
    one, again, other = (
        desensitize.apply(frame, PLAN, key=key).frame.collect() for key in (KEY, KEY, hashlib.sha256(KEY).digest())
    )
    assert one.equals(again)
    for column in ("a", "c"):
        assert not set(one[column]) & set(other[column])
    # Of eleven digits a few may be equal by chance, but not for the same value.
    assert (one["b"] == other["b"]).sum() == 0

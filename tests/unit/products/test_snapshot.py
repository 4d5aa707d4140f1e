import hashlib

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from products.serving import snapshot
from products.serving.snapshot import Manifest
from products.serving.subjects import normal, subject_hash
from shuzha.core.errors import Invalid, NotFound

KEY = b"k" * 32


def manifest(count, version=1):
    return Manifest(
        "prd_x",
        version,
        "",
        "",
        count,
        ("insured",),
        ("resident_id",),
        (0.5,),
        "ent_x",
        0,
        "scope",
        "spec",
        "2026-01-01",
    )


def build(folder, answers, version=1):
    digests = b"".join(answers)
    hashes = np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.uint64)
    merged = snapshot.merge(hashes, np.array(list(answers.values()), np.uint8))
    return snapshot.publish(folder, snapshot.pack(*merged, 3), manifest(len(answers), version))


def digest(number):
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


@pytest.mark.parametrize("count", [0, 1, 15, 16, 31, 32, 33, 1000, 20_000])
def test_find_answers_as_a_dict_does(tmp_path, count):
    answers = {digest(number): number % 8 for number in range(count)}
    build(tmp_path, answers)
    with_file = snapshot.open_current(tmp_path)
    assert with_file.count == count
    assert all(with_file.find(key) == value for key, value in answers.items())
    assert all(with_file.find(digest(-number)) == -1 for number in range(1, 2000))


@settings(max_examples=50, deadline=None)
@given(
    words=st.dictionaries(
        st.integers(0, 2**20) | st.integers(0, 2**64 - 1), st.integers(0, 255), min_size=1, max_size=200
    )
)
def test_find_answers_as_a_dict_does_for_keys_close_together(tmp_path_factory, words):
    folder = tmp_path_factory.mktemp("index")
    close = {word.to_bytes(8, "big") + bytes(8): value for word, value in words.items()}
    build(folder, close)
    found = snapshot.open_current(folder)
    assert {key: found.find(key) for key in close} == close


def test_merge_joins_the_claims_of_one_subject():
    hashes = np.array([[5, 1], [2, 2], [5, 1]], np.uint64)
    keys, values = snapshot.merge(hashes, np.array([1, 4, 2], np.uint8))
    assert keys.tolist() == [[2, 2], [5, 1]]
    assert values.tolist() == [4, 3]


def test_an_index_takes_about_nine_bytes_a_subject(tmp_path):
    count = 100_000
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**64, (count, 2), dtype=np.uint64)
    content = snapshot.pack(*snapshot.merge(hashes, np.ones(count, np.uint8)), 1)
    assert len(content) / count < 9.5


def test_open_refuses_a_changed_byte(tmp_path):
    made = build(tmp_path, {digest(number): 1 for number in range(100)})
    path = tmp_path / made.file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Invalid, match="not what its manifest says"):
        snapshot.open_current(tmp_path)


def test_open_refuses_a_folder_without_an_index(tmp_path):
    with pytest.raises(NotFound, match="no index"):
        snapshot.open_current(tmp_path)


def test_a_reader_keeps_its_file_while_new_ones_are_published(tmp_path):
    build(tmp_path, {digest(1): 1})
    reader = snapshot.open_current(tmp_path)
    for version in range(2, 6):
        build(tmp_path, {digest(version): 1}, version)
    assert reader.find(digest(1)) == 1
    assert snapshot.open_current(tmp_path).find(digest(5)) == 1
    assert len(list(tmp_path.glob("v*.index"))) == 2


def test_normal_makes_one_subject_of_its_spellings():
    assert normal("  11010519491231002x ") == normal("11010519491231002X")
    assert normal("１１０１") == "1101"
    assert subject_hash(KEY, ["ab", "c"]) != subject_hash(KEY, ["a", "bc"])
    assert subject_hash(KEY, ["a"]) != subject_hash(b"x" * 32, ["a"])


def test_manifest_is_written_as_json(tmp_path):
    build(tmp_path, {digest(1): 1})
    assert msgspec.json.decode((tmp_path / "current.json").read_bytes())["subjects"] == 1

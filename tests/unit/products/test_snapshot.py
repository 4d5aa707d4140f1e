"""What an index holds on disk: it answers as a dictionary does, and readers are left alone."""

import hashlib

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from products.serving import segments, snapshot
from products.serving.building import Unwatched, adopt, among, build_all, build_changes
from products.serving.rows import KeyedRows
from products.serving.snapshot import Manifest
from products.serving.subjects import message, normal, subject_hash
from shuzha.core.errors import Invalid, NotFound

KEY = b"k" * 32
KEYS = st.tuples(st.integers(0, 3) | st.integers(0, 2**64 - 1), st.integers(0, 3) | st.integers(0, 2**64 - 1))
WORDS = KEYS.map(lambda pair: pair[0].to_bytes(8) + pair[1].to_bytes(8))


def rows(answers):
    words = np.frombuffer(b"".join(answers), ">u8").astype(np.uint64)
    return KeyedRows(words[::2], words[1::2], np.array(list(answers.values()), np.uint8))


def reader(batches):
    return lambda take: [take(one) for one in batches]


def manifest(built, version=1):
    return Manifest(
        product="prd_x", version=version, subjects=built.subjects, claims=("a", "b", "c"), subject=("resident_id",),
        shares=(0.5,), entry="ent_x", raw_version=0, scope_version="scope", specification="spec",
        built_at="2026-01-01", prefix_bits=built.shape.prefix, segment_bits=built.shape.segment,
        segments=built.segments,
    )  # fmt: skip


def build(folder, answers, version=1, expected=None):
    folder.mkdir(exist_ok=True)
    built = build_all(
        reader([rows(answers)] if answers else []),
        len(answers) if expected is None else expected,
        3,
        folder,
        Unwatched(),
    )
    adopt(folder, built.segments)
    return snapshot.publish(folder, manifest(built, version))


def digest(number):
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


@pytest.mark.parametrize("count", [0, 1, 15, 16, 31, 32, 33, 1000, 20_000])
@pytest.mark.parametrize("expected", [1, 3_000_000, 80_000_000])
def test_find_answers_as_a_dict_does(tmp_path, count, expected):
    answers = {digest(number): number % 8 for number in range(count)}
    made = build(tmp_path, answers, expected=expected)
    assert len(made.segments) == {1: 1, 3_000_000: 8, 80_000_000: 64}[expected]
    found = snapshot.open_current(tmp_path)
    assert found.count == count
    assert all(found.find(key) == value for key, value in answers.items())
    assert all(found.find(digest(-number)) == -1 for number in range(1, 2000))


@settings(max_examples=60, deadline=None)
@given(
    answers=st.dictionaries(WORDS, st.integers(0, 7), min_size=1, max_size=200), expected=st.sampled_from([1, 10**6])
)
def test_find_answers_as_a_dict_does_for_keys_close_together(tmp_path_factory, answers, expected):
    folder = tmp_path_factory.mktemp("index")
    made = build(folder, answers, expected=expected)
    found, shape = snapshot.open_current(folder), made.shape
    # Keys that a segment cannot tell apart are one subject: of 16 bytes, those behind the tail do not count.
    cut = {}
    for key, value in answers.items():
        short = key[: shape.tail_at + 8]
        cut[short] = cut.get(short, 0) | value
    assert {key: found.find(key) for key in answers} == {key: cut[key[: shape.tail_at + 8]] for key in answers}


@settings(max_examples=60, deadline=None)
@given(
    answers=st.dictionaries(WORDS, st.integers(0, 7), min_size=1, max_size=60),
    gone=st.sets(WORDS, max_size=30), fresh=st.dictionaries(WORDS, st.integers(0, 7), max_size=30),
    picked=st.integers(0, 5), expected=st.sampled_from([1, 10**6]),
)  # fmt: skip
def test_an_update_is_what_a_new_build_would_be(tmp_path_factory, answers, gone, fresh, picked, expected):
    folder = tmp_path_factory.mktemp("index")
    made = build(folder, answers, expected=expected)
    gone |= set(list(answers)[:picked])
    lost = rows(dict.fromkeys(gone, 0))
    built = build_changes(made, folder, (lost.high, lost.low), rows(fresh), Unwatched())
    adopt(folder, built.segments)
    published = snapshot.publish(folder, manifest(built, 2))
    cut = made.shape.tail_at + 8
    wanted = {}
    for key, value in answers.items():
        if key[:cut] not in {one[:cut] for one in gone}:
            wanted[key[:cut]] = wanted.get(key[:cut], 0) | value
    for key, value in fresh.items():
        wanted[key[:cut]] = wanted.get(key[:cut], 0) | value
    found = snapshot.open_current(folder)
    asked = {*answers, *gone, *fresh}
    assert {key: found.find(key) for key in asked} == {key: wanted.get(key[:cut], -1) for key in asked}
    assert published.subjects == len(wanted)
    assert [sum(one.true[place] for one in published.segments) for place in range(3)] == [
        sum(value >> place & 1 for value in wanted.values()) for place in range(3)
    ]


def test_an_update_rewrites_the_segments_of_changed_subjects_alone(tmp_path):
    answers = {digest(number): number % 8 for number in range(20_000)}
    made = build(tmp_path, answers, expected=80_000_000)
    before = snapshot.open_current(tmp_path)
    changed = rows({digest(7): 0})
    built = build_changes(made, tmp_path, (changed.high, changed.low), changed, Unwatched())
    assert sum(one != two for one, two in zip(made.segments, built.segments, strict=True)) == 1
    adopt(tmp_path, built.segments)
    snapshot.publish(tmp_path, manifest(built, 2))
    after = snapshot.open_current(tmp_path, before=before)
    assert (before.find(digest(7)), after.find(digest(7))) == (7, 0)
    assert sum(name in before.mapped() for name in after.mapped()) == 63
    assert len(list(tmp_path.glob("*.segment"))) == 65


@given(some=st.sets(WORDS, max_size=20), asked=st.lists(WORDS, max_size=40))
def test_among_finds_what_is_there(some, asked):
    there, keys = rows(dict.fromkeys(sorted(some), 0)), rows(dict.fromkeys(asked, 0))
    found = among(keys.high, keys.low, there.high, there.low)
    assert found.tolist() == [key in some for key in dict.fromkeys(asked)]


def test_rows_of_one_subject_are_joined():
    high, low = np.array([5, 2, 5, 5], np.uint64), np.array([1, 2, 1, 0], np.uint64)
    keys, seconds, values = segments.reduce_rows(high, low, np.array([1, 4, 2, 1], np.uint8))
    assert (keys.tolist(), seconds.tolist(), values.tolist()) == ([2, 5, 5], [2, 0, 1], [4, 1, 3])


def test_an_index_takes_about_nine_bytes_a_subject(tmp_path):
    count = 100_000
    words = np.random.default_rng(1).integers(0, 2**64, (2, count), dtype=np.uint64)
    batch = KeyedRows(words[0], words[1], np.ones(count, np.uint8))
    built = build_all(reader([batch]), count, 1, tmp_path, Unwatched())
    assert sum(one.size for one in built.segments) / count < 9.6


def test_open_refuses_a_changed_byte(tmp_path):
    made = build(tmp_path, {digest(number): 1 for number in range(100)})
    path = tmp_path / made.segments[0].file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Invalid, match="not what its manifest says"):
        snapshot.open_current(tmp_path)
    path.write_bytes(content[:-1])
    with pytest.raises(Invalid, match="wrong form"):
        snapshot.open_current(tmp_path, verify=False)


def test_open_refuses_a_folder_without_an_index(tmp_path):
    with pytest.raises(NotFound, match="no index"):
        snapshot.open_current(tmp_path)


def test_a_reader_keeps_its_files_while_new_ones_are_published(tmp_path):
    build(tmp_path, {digest(1): 1})
    reader = snapshot.open_current(tmp_path)
    for version in range(2, 6):
        build(tmp_path, {digest(version): 1}, version)
    assert reader.find(digest(1)) == 1
    assert snapshot.open_current(tmp_path).find(digest(5)) == 1
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".json", ".segment", ".segment"]


def test_sweep_removes_what_no_manifest_names(tmp_path):
    build(tmp_path, {digest(1): 1})
    for name in ("0" * 32 + ".segment", "v000001.index", ".x.segment"):
        (tmp_path / name).write_bytes(b"left")
    assert snapshot.sweep(tmp_path) == 3
    assert snapshot.open_current(tmp_path).find(digest(1)) == 1


def test_normal_makes_one_subject_of_its_spellings():
    assert normal("  11010519491231002x ") == normal("11010519491231002X")
    assert normal("１１０１") == "1101"
    assert message([" a", "张三"]) == b"1:A6:" + "张三".encode()
    assert subject_hash(KEY, ["ab", "c"]) != subject_hash(KEY, ["a", "bc"])
    assert subject_hash(KEY, ["a"]) != subject_hash(b"x" * 32, ["a"])


def test_a_manifest_is_written_as_json(tmp_path):
    build(tmp_path, {digest(1): 1})
    assert msgspec.json.decode((tmp_path / "current.json").read_bytes())["subjects"] == 1

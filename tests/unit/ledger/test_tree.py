"""The tree against Certificate Transparency's vectors, a naive reading of RFC 9162, and every small tree there is."""

from __future__ import annotations

from hashlib import sha256

import pytest

from shuzha.ledger.tree import (
    EMPTY_ROOT,
    Frontier,
    MerkleTree,
    consistency_proof,
    leaf_hash,
    peaks,
    stored_count,
    stored_index,
    verify_consistency,
    verify_inclusion,
)

# The test inputs, roots and paths that the Certificate Transparency reference implementations share.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_PATHS = {  # (leaf counted from 1, size): path
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (3, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (2, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CT_CONSISTENCY = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
EXHAUSTIVE = 70


def ct_tree() -> MerkleTree:
    tree = MerkleTree()
    for data in CT_LEAVES:
        tree.append(data)
    return tree


def numbered_tree(size: int) -> MerkleTree:
    tree = MerkleTree()
    for number in range(size):
        tree.append(b"entry %d" % number)
    return tree


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1, word for word."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_proof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 9162 section 2.1.4.1, word for word."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*naive_proof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_proof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def test_roots_equal_those_of_certificate_transparency() -> None:
    tree = ct_tree()
    assert [tree.root(size).hex() for size in range(1, 9)] == CT_ROOTS
    assert tree.root(0) == EMPTY_ROOT


def test_paths_equal_those_of_certificate_transparency() -> None:
    tree = ct_tree()
    for (leaf, size), path in CT_PATHS.items():
        assert [node.hex() for node in tree.inclusion(leaf - 1, size)] == path
    for (first, second), path in CT_CONSISTENCY.items():
        assert [node.hex() for node in tree.consistency(first, second)] == path


def test_roots_and_proofs_equal_the_text_of_the_rfc_for_every_small_tree() -> None:
    tree = numbered_tree(33)
    leaves = [b"entry %d" % number for number in range(33)]
    for size in range(34):
        assert tree.root(size) == naive_root(leaves[:size])
        for first in range(1, size + 1):
            assert list(tree.consistency(first, size)) == naive_proof(first, leaves[:size], True)


def test_verify_inclusion_for_every_leaf_of_every_small_tree() -> None:
    tree = numbered_tree(EXHAUSTIVE)
    for size in range(1, EXHAUSTIVE + 1):
        expected = tree.root(size)
        for index in range(size):
            leaf, proof = leaf_hash(b"entry %d" % index), tree.inclusion(index, size)
            assert verify_inclusion(leaf, index, size, proof, expected)
            assert not verify_inclusion(leaf, index ^ 1, size, proof, expected)
            assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, expected)
            assert not verify_inclusion(leaf, index, size, (*proof, expected), expected)
            if proof:
                assert not verify_inclusion(leaf, index, size, proof[:-1], expected)
                assert not verify_inclusion(leaf, index, size, (leaf_hash(proof[0]), *proof[1:]), expected)


def test_verify_consistency_for_every_pair_of_small_trees() -> None:
    tree = numbered_tree(EXHAUSTIVE)
    other = leaf_hash(b"another history")
    for second in range(1, EXHAUSTIVE + 1):
        for first in range(1, second + 1):
            proof = tree.consistency(first, second)
            roots = tree.root(first), tree.root(second)
            assert verify_consistency(first, second, *roots, proof)
            assert not verify_consistency(first, second, other, roots[1], proof)
            assert not verify_consistency(first, second, roots[0], other, proof)
            assert not verify_consistency(first, second, *roots, (*proof, other))
            if proof:
                assert not verify_consistency(first, second, *roots, proof[:-1])


def test_verify_inclusion_refuses_an_index_outside_the_tree() -> None:
    tree = numbered_tree(5)
    assert not verify_inclusion(leaf_hash(b"entry 0"), 5, 5, tree.inclusion(0, 5), tree.root())
    assert not verify_inclusion(leaf_hash(b"entry 0"), -1, 5, tree.inclusion(0, 5), tree.root())
    assert not verify_consistency(0, 5, EMPTY_ROOT, tree.root(), ())


def test_stored_nodes_are_in_post_order() -> None:
    seen = []
    for leaf in range(64):
        seen.append((0, leaf))
        level, n = 0, leaf
        while n & 1:
            level, n = level + 1, n >> 1
            seen.append((level, n))
        assert stored_count(leaf + 1) == len(seen)
    assert [stored_index(*node) for node in seen] == list(range(len(seen)))


def test_frontier_restarts_from_its_peaks() -> None:
    tree = numbered_tree(21)
    frontier = Frontier(13, peaks(tree.node, 13))
    assert frontier.root() == tree.root(13)
    frontier.extend(leaf_hash(b"entry %d" % number) for number in range(13, 21))
    assert frontier.root() == tree.root(21)
    with pytest.raises(ValueError, match="3 peaks"):
        Frontier(13, ())


def test_proofs_refuse_what_is_not_in_the_tree() -> None:
    tree = numbered_tree(4)
    with pytest.raises(ValueError, match="leaf 4 is not in a tree of 4"):
        tree.inclusion(4)
    with pytest.raises(ValueError, match="4 leaves, not 5"):
        tree.root(5)
    with pytest.raises(ValueError, match="from 5 to 4"):
        consistency_proof(tree.node, 5, 4)

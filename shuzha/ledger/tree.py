"""The Merkle tree of RFC 9162 section 2.1 over SHA-256: hashes, an appending frontier, proofs and their verification.

A *leaf hash* is SHA-256(0x00 || data), a *node* SHA-256(0x01 || left || right). Node (level, n) covers the leaves
n * 2^level up to (n + 1) * 2^level. Whole nodes are stored in *post-order*: each leaf is followed by the parents that
it completes, so that a store is only ever appended to and any node's place is a formula.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256().digest()

ReadNode = Callable[[int, int], bytes]
"""Gives the hash of the whole node (level, n)."""


def leaf_hash(data: bytes) -> bytes:
    """Return the leaf hash of an entry's data."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two nodes."""
    return sha256(b"\x01" + left + right).digest()


def stored_count(size: int) -> int:
    """Return how many whole nodes a tree of `size` leaves stores."""
    return 2 * size - size.bit_count()


def stored_index(level: int, n: int) -> int:
    """Return the place of node (level, n) in post-order."""
    last_leaf = ((n + 1) << level) - 1
    return stored_count(last_leaf) + level


class Frontier:
    """The right edge of a growing tree: all that is needed to append to it and to know its root."""

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if len(peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks, not {len(peaks)}")
        self.size = size
        self._peaks = list(peaks)

    def copy(self) -> Frontier:
        """Return a frontier that grows apart from this one."""
        return Frontier(self.size, self._peaks)

    def extend(self, leaves: Iterable[bytes]) -> bytes:
        """Append leaf hashes and return the whole nodes that they complete, in post-order."""
        peaks, size, hasher = self._peaks, self.size, sha256
        nodes: list[bytes] = []
        for leaf in leaves:
            node, rest = leaf, size
            nodes.append(node)
            while rest & 1:
                node = hasher(b"\x01" + peaks.pop() + node).digest()
                nodes.append(node)
                rest >>= 1
            peaks.append(node)
            size += 1
        self.size = size
        return b"".join(nodes)

    def root(self) -> bytes:
        """Return the tree's root; that of an empty tree is SHA-256 of nothing."""
        return _fold(self._peaks)


class MerkleTree:
    """A whole tree in memory, 64 bytes a leaf."""

    def __init__(self) -> None:
        self._frontier = Frontier()
        self._nodes = bytearray()

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return self._frontier.size

    def append(self, data: bytes) -> int:
        """Append an entry's data and return its index."""
        self._nodes += self._frontier.extend((leaf_hash(data),))
        return self.size - 1

    def node(self, level: int, n: int) -> bytes:
        """Return the hash of a whole node."""
        start = stored_index(level, n) * HASH_BYTES
        return bytes(self._nodes[start : start + HASH_BYTES])

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the tree, or what it was when it had `size` leaves."""
        return root(self.node, self.size if size is None else _within(size, self.size))

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """Return the proof that leaf `index` is in the tree of `size` leaves."""
        return inclusion_proof(self.node, index, self.size if size is None else _within(size, self.size))

    def consistency(self, first: int, second: int | None = None) -> tuple[bytes, ...]:
        """Return the proof that the tree of `first` leaves is the beginning of that of `second` leaves."""
        return consistency_proof(self.node, first, self.size if second is None else _within(second, self.size))


def root(read: ReadNode, size: int) -> bytes:
    """Return the root of the tree of `size` leaves whose whole nodes `read` gives."""
    return _subtree(read, 0, size)


def peaks(read: ReadNode, size: int) -> tuple[bytes, ...]:
    """Return the peaks of the tree of `size` leaves: what `Frontier` starts from."""
    return _peaks(read, 0, size)


def inclusion_proof(read: ReadNode, index: int, size: int) -> tuple[bytes, ...]:
    """Return the audit path PATH(index, D[size]) of RFC 9162 section 2.1.3.1; refuses a leaf that isn't there."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree(read, middle, end))
            end = middle
        else:
            path.append(_subtree(read, start, middle))
            start = middle
    return tuple(reversed(path))


def consistency_proof(read: ReadNode, first: int, second: int) -> tuple[bytes, ...]:
    """Return PROOF(first, D[second]) of RFC 9162 section 2.1.4.1; refuses sizes that are not in order."""
    if not 0 < first <= second:
        raise ValueError(f"no consistency proof from {first} to {second} leaves: sizes are 0 < first <= second")
    proof: list[bytes] = []
    start, end = 0, second
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            proof.append(_subtree(read, middle, end))
            end = middle
        else:
            proof.append(_subtree(read, start, middle))
            start = middle
    # The old tree itself needs no node: the verifier holds its root. A part of it does.
    return (() if start == 0 else (_subtree(read, start, end),)) + tuple(reversed(proof))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> bool:
    """Return whether `proof` shows that `leaf` stands at `index` of the tree with this size and root (2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, node = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(step, node)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, step)
        position >>= 1
        last >>= 1
    return last == 0 and node == expected_root


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether `proof` shows that the second tree only appends to the first (RFC 9162 section 2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = list(proof)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    if not path:
        return False
    position, last = first - 1, second - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, step)
        position >>= 1
        last >>= 1
    return last == 0 and old == first_root and new == second_root


def _within(size: int, held: int) -> int:
    if not 0 <= size <= held:
        raise ValueError(f"the tree has {held} leaves, not {size}")
    return size


def _split(count: int) -> int:
    # The largest power of two smaller than `count`.
    return 1 << (count - 1).bit_length() - 1


def _peaks(read: ReadNode, start: int, end: int) -> tuple[bytes, ...]:
    found: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        found.append(read(level, start >> level))
        start += 1 << level
    return tuple(found)


def _subtree(read: ReadNode, start: int, end: int) -> bytes:
    # `start` is a multiple of the largest power of two in `end - start`, as every split of RFC 9162 makes it.
    return _fold(_peaks(read, start, end))


def _fold(found: Sequence[bytes]) -> bytes:
    if not found:
        return EMPTY_ROOT
    top = found[-1]
    for peak in reversed(found[:-1]):
        top = node_hash(peak, top)
    return top

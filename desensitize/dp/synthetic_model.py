"""A graphical model of a table: a junction tree over its columns, and the distribution that fits noisy marginals.

Words: columns are numbered, and each has a number of cells (its size); a *clique* is a rising tuple of columns; a
*marginal* is the table of counts over a clique; a *junction tree* covers every measured clique by one of its own,
so that neighbours share what they both know (their separator).

Sources: Koller and Friedman, "Probabilistic graphical models" (2009), chapters 9 and 10, for trees and belief
propagation; McKenna, Sheldon, Miklau, "Graphical-model based estimation and inference for differential privacy"
(2019), for the estimation by mirror descent.
"""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Clique = tuple[int, ...]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JunctionTree:
    """Cliques with the parents before their children.

    `parents[i]` is the position of clique i's parent (-1 for the first one), `separators[i]` what both hold.
    """

    sizes: tuple[int, ...]
    cliques: tuple[Clique, ...]
    parents: tuple[int, ...]
    separators: tuple[Clique, ...]

    def find_home(self, clique: Clique) -> int:
        """Return the position of the smallest clique that holds all of `clique`, or -1."""
        wanted = set(clique)
        homes = [at for at, each in enumerate(self.cliques) if wanted <= set(each)]
        return min(homes, key=lambda at: count_cells(self.cliques[at], self.sizes), default=-1)

    @property
    def cells(self) -> int:
        """Return the number of cells of all cliques together."""
        return sum(count_cells(clique, self.sizes) for clique in self.cliques)


def count_cells(clique: Clique, sizes: Sequence[int]) -> int:
    """Return the number of cells of the clique's marginal."""
    return math.prod(sizes[column] for column in clique)


def list_cliques(measured: Iterable[Clique], sizes: Sequence[int]) -> list[int]:
    """Return the maximal cliques, as bit sets, of a chordal graph that holds every measured clique.

    Columns are eliminated greedily, the one that makes the smallest clique first.
    """
    near = [1 << column for column in range(len(sizes))]
    for clique in measured:
        bits = sum(1 << column for column in clique)
        for column in clique:
            near[column] |= bits
    weights = [math.log(size) for size in sizes]
    costs = [_weigh(bits, weights) for bits in near]
    waiting = set(range(len(sizes)))
    found: list[int] = []
    while waiting:
        column = min(waiting, key=lambda each: (costs[each], each))
        waiting.discard(column)
        own = near[column]
        if not any(own & ~each == 0 for each in found):
            found.append(own)
        rest = own & ~(1 << column)
        for other in _list_bits(rest):
            near[other] = (near[other] | rest) & ~(1 << column)
            costs[other] = _weigh(near[other], weights)
    return found


def count_tree_cells(measured: Iterable[Clique], sizes: Sequence[int]) -> int:
    """Return the number of cells of the junction tree that these cliques would need."""
    return sum(math.prod(sizes[column] for column in _list_bits(bits)) for bits in list_cliques(measured, sizes))


def build_tree(measured: Iterable[Clique], sizes: Sequence[int]) -> JunctionTree:
    """Return the junction tree of the measured cliques; every column is in at least one clique.

    A spanning tree whose separators are as large as possible has the running intersection property.
    """
    cliques = [_list_bits(bits) for bits in list_cliques(measured, sizes)]
    order, parents = [0], {0: -1}
    closest = {at: (len(set(cliques[at]) & set(cliques[0])), 0) for at in range(1, len(cliques))}
    while closest:
        at = max(closest, key=lambda each: (closest[each][0], -each))
        parents[at] = closest.pop(at)[1]
        order.append(at)
        for other, (shared, _) in closest.items():
            if len(set(cliques[other]) & set(cliques[at])) > shared:
                closest[other] = (len(set(cliques[other]) & set(cliques[at])), at)
    place = {at: position for position, at in enumerate(order)}
    separators: list[Clique] = [()]
    separators += [tuple(sorted(set(cliques[at]) & set(cliques[parents[at]]))) for at in order[1:]]
    return JunctionTree(
        tuple(sizes),
        tuple(cliques[at] for at in order),
        (-1, *(place[parents[at]] for at in order[1:])),
        tuple(separators),
    )


def spread(values: Floats, part: Clique, whole: Clique) -> Floats:
    """Return the values of a clique's part, shaped so that they broadcast over the whole clique."""
    shape = iter(values.shape)
    return values.reshape([next(shape) if column in part else 1 for column in whole])


def reduce_to(values: Floats, whole: Clique, part: Clique) -> Floats:
    """Return the sums of the whole clique's values over the columns that `part` does not have."""
    axes = tuple(axis for axis, column in enumerate(whole) if column not in part)
    return np.asarray(values.sum(axis=axes)) if axes else values


def calibrate(tree: JunctionTree, potentials: Sequence[Floats]) -> list[Floats]:
    """Return the probabilities of every clique under the product of the potentials (given as logarithms).

    Belief propagation in two passes, exact on a junction tree.
    """
    gathered = list(potentials)
    upward: list[Floats] = [np.zeros(())] * len(gathered)
    for at in range(len(gathered) - 1, 0, -1):
        parent, separator = tree.parents[at], tree.separators[at]
        upward[at] = _sum_logs(gathered[at], tree.cliques[at], separator)
        gathered[parent] = gathered[parent] + spread(upward[at], separator, tree.cliques[parent])
    beliefs: list[Floats] = []
    for at, clique in enumerate(tree.cliques):
        if at == 0:
            total = _sum_logs(gathered[0], clique, ())
            beliefs.append(np.exp(gathered[0] - total))
            continue
        parent, separator = tree.parents[at], tree.separators[at]
        with np.errstate(divide="ignore"):
            shared = np.log(reduce_to(beliefs[parent], tree.cliques[parent], separator))
        beliefs.append(np.exp(gathered[at] + spread(shared - upward[at], separator, clique)))
    return beliefs


@dataclass(frozen=True, slots=True)
class Model:
    """The probabilities of the cliques of a junction tree, which agree on what they share.

    `potentials` are the logarithms that estimation found for each measured clique; the next estimation starts there.
    """

    tree: JunctionTree
    beliefs: tuple[Floats, ...]
    potentials: dict[Clique, Floats]

    def project(self, clique: Clique) -> Floats:
        """Return the probabilities of any columns together, whether or not one clique holds them all."""
        home = self.tree.find_home(clique)
        if home >= 0:
            return reduce_to(self.beliefs[home], self.tree.cliques[home], clique)
        return self._join(clique)

    def _join(self, clique: Clique) -> Floats:
        """Return the probabilities of columns of several cliques: those between are summed out, leaves first."""
        wanted = set(clique)
        kept, children = self._prune(wanted)
        messages: dict[int, tuple[Clique, Floats]] = {}
        for at in sorted(kept, reverse=True):
            root = self.tree.parents[at] not in kept
            values, columns = self.beliefs[at], self.tree.cliques[at]
            separator = () if root else self.tree.separators[at]
            if not root:
                below = spread(reduce_to(values, columns, separator), separator, columns)
                values = np.divide(values, below, out=np.zeros_like(values), where=below > 0)
            for number, child in enumerate(children.get(at, ())):
                last = number == len(children[at]) - 1
                later = set() if last else set().union(*(messages[c][0] for c in children[at][number + 1 :]))
                needed = wanted | set(separator) | later
                values, columns = _multiply(values, columns, *messages.pop(child), needed)
            target = tuple(column for column in columns if column in wanted or column in separator)
            messages[at] = target, reduce_to(values, columns, target)
        return messages.popitem()[1][1]

    def _prune(self, wanted: set[int]) -> tuple[set[int], dict[int, list[int]]]:
        """Return the cliques of the smallest subtree that holds the columns, with the children of each."""
        tree = self.tree
        kept = set(range(len(tree.cliques)))
        children: dict[int, list[int]] = {at: [] for at in kept}
        for at in range(len(tree.cliques) - 1, 0, -1):
            if not children[at] and wanted & set(tree.cliques[at]) <= set(tree.separators[at]):
                kept.discard(at)
            else:
                children[tree.parents[at]].append(at)
        root = 0
        while len(children[root]) == 1:
            child = children[root][0]
            if not wanted & set(tree.cliques[root]) <= set(tree.separators[child]):
                break
            kept.discard(root)
            root = child
        return kept, {at: children[at] for at in kept}


def _multiply(
    left: Floats, left_columns: Clique, right_columns: Clique, right: Floats, needed: set[int]
) -> tuple[Floats, Clique]:
    """Return the product of two tables, summed over the columns that are not needed, and its columns."""
    union = sorted(set(left_columns) | set(right_columns))
    target = tuple(column for column in union if column in needed)
    letters = dict(zip(union, string.ascii_letters, strict=False))
    one, other, made = ("".join(letters[c] for c in columns) for columns in (left_columns, right_columns, target))
    return np.einsum(f"{one},{other}->{made}", left, right, optimize=True), target


def _sum_logs(values: Floats, whole: Clique, part: Clique) -> Floats:
    axes = tuple(axis for axis, column in enumerate(whole) if column not in part)
    if not axes:
        return values
    highest = values.max(axis=axes, keepdims=True)
    return np.asarray(np.log(np.exp(values - highest).sum(axis=axes)) + highest.squeeze(axis=axes))


def _list_bits(bits: int) -> Clique:
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return tuple(found)


def _weigh(bits: int, weights: Sequence[float]) -> float:
    return sum(weights[column] for column in _list_bits(bits))


def list_parts(clique: Clique) -> list[Clique]:
    """Return every non-empty part of a clique, the clique itself among them."""
    return [part for size in range(1, len(clique) + 1) for part in itertools.combinations(clique, size)]

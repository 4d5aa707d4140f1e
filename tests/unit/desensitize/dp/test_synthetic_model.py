"""The graphical model behind synthetic tables: trees, belief propagation, estimation, and the rows drawn from it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from desensitize.dp.synthetic_estimation import Measurement, estimate, estimate_total, merge_measurements
from desensitize.dp.synthetic_model import (
    Clique,
    Model,
    build_tree,
    calibrate,
    count_tree_cells,
    reduce_to,
    spread,
)
from desensitize.dp.synthetic_sampling import draw, round_shares

Floats = npt.NDArray[np.float64]


@st.composite
def graphs(draw_value: st.DrawFn) -> tuple[tuple[int, ...], list[Clique]]:
    """Sizes of up to six columns, and cliques over them; every column is in one."""
    sizes = tuple(draw_value(st.lists(st.integers(1, 3), min_size=1, max_size=6)))
    part = st.sets(st.integers(0, len(sizes) - 1), min_size=1, max_size=3).map(lambda each: tuple(sorted(each)))
    return sizes, [(column,) for column in range(len(sizes))] + draw_value(st.lists(part, max_size=7))


def make_model(sizes: tuple[int, ...], cliques: list[Clique], seed: int) -> tuple[Model, Floats]:
    """A model of random potentials, and its joint distribution multiplied out."""
    random = np.random.default_rng(seed)
    tree = build_tree(cliques, sizes)
    logs = [np.zeros([sizes[column] for column in clique]) for clique in tree.cliques]
    everything = tuple(range(len(sizes)))
    joint = np.zeros(sizes)
    for clique in cliques:
        own = 3 * random.normal(size=[sizes[column] for column in clique])
        home = tree.find_home(clique)
        logs[home] = logs[home] + spread(own, clique, tree.cliques[home])
        joint = joint + spread(own, clique, everything)
    joint = np.exp(joint - joint.max())
    return Model(tree, tuple(calibrate(tree, logs)), {}), joint / joint.sum()


@settings(deadline=None)
@given(graphs())
def test_tree_holds_every_clique_and_runs_through(graph: tuple[tuple[int, ...], list[Clique]]) -> None:
    sizes, cliques = graph
    tree = build_tree(cliques, sizes)
    assert all(tree.find_home(clique) >= 0 for clique in cliques)
    assert tree.cells == count_tree_cells(cliques, sizes)
    for at, clique in enumerate(tree.cliques[1:], 1):
        assert tree.parents[at] < at
        earlier = set().union(*tree.cliques[:at])
        assert set(clique) & earlier == set(tree.separators[at]) <= set(tree.cliques[tree.parents[at]])


@settings(deadline=None)
@given(graphs(), st.integers(0, 2**32))
def test_propagate_equals_the_joint_distribution(graph: tuple[tuple[int, ...], list[Clique]], seed: int) -> None:
    model, joint = make_model(*graph, seed)
    everything = tuple(range(len(graph[0])))
    for clique, beliefs in zip(model.tree.cliques, model.beliefs, strict=True):
        assert beliefs == pytest.approx(reduce_to(joint, everything, clique), abs=1e-12)


@settings(deadline=None)
@given(graphs(), st.integers(0, 2**32))
def test_project_any_columns_equals_the_joint_distribution(
    graph: tuple[tuple[int, ...], list[Clique]], seed: int
) -> None:
    model, joint = make_model(*graph, seed)
    everything = tuple(range(len(graph[0])))
    for size in range(1, len(everything) + 1):
        for columns in itertools.combinations(everything, size):
            assert model.project(columns) == pytest.approx(reduce_to(joint, everything, columns), abs=1e-12)


def measure(joint: Floats, clique: Clique, scale: float, random: np.random.Generator, rows: float) -> Measurement:
    exact = rows * reduce_to(joint, tuple(range(joint.ndim)), clique)
    return Measurement(clique, exact + scale * random.normal(size=exact.shape), scale)


def test_estimate_finds_marginals_that_are_measured_exactly() -> None:
    sizes, cliques = (2, 3, 4, 2), [(0, 1), (1, 2), (2, 3)]
    _, joint = make_model(sizes, cliques, 5)
    random = np.random.default_rng(0)
    model = estimate([measure(joint, clique, 1e-6, random, 1.0) for clique in cliques], sizes, 1.0, steps=1000)
    assert model.project((0, 1, 2, 3)) == pytest.approx(joint, abs=2e-3)


@pytest.mark.parametrize("seed", range(2))
def test_estimate_is_no_worse_than_a_search_over_the_whole_joint(seed: int) -> None:
    sizes, rows = (2, 3, 2, 3), 500.0
    random = np.random.default_rng(seed)
    _, joint = make_model(sizes, [(0, 1), (1, 2), (0, 2), (2, 3)], seed)
    cliques: list[Clique] = [(0,), (1,), (2,), (3,), (0, 1), (1, 2), (0, 2), (2, 3)]
    measured = [measure(joint, clique, 5.0 + 10 * (clique == (1, 2)), random, rows) for clique in cliques]
    everything = (0, 1, 2, 3)

    def loss_at(logs: Floats) -> tuple[float, Floats]:
        shares = np.exp(logs - logs.max()).reshape(sizes)
        shares /= shares.sum()
        apart = [(rows * reduce_to(shares, everything, e.clique) - e.counts) / e.scale for e in measured]
        slope = sum(
            (
                spread(rows * each / own.scale, own.clique, everything)
                for each, own in zip(apart, measured, strict=True)
            ),
            np.zeros(sizes),
        )
        return 0.5 * sum(float((each**2).sum()) for each in apart), (shares * (slope - (shares * slope).sum())).ravel()

    model = estimate(measured, sizes, rows, steps=500)
    best = minimize(loss_at, random.normal(size=36), jac=True, method="L-BFGS-B", options={"maxiter": 500}).fun
    assert loss_at(np.log(np.maximum(model.project(everything), 1e-300)))[0] <= best * 1.01 + 0.01


def test_merge_weighs_by_precision() -> None:
    precise, vague = np.array([10.0, 20.0]), np.array([40.0, 50.0])
    (merged,) = merge_measurements([Measurement((0,), precise, 1.0), Measurement((0,), vague, 3.0)])
    assert merged.counts == pytest.approx((precise * 9 + vague) / 10)
    assert merged.scale == pytest.approx(math.sqrt(0.9))


def test_total_is_never_below_one_row() -> None:
    assert estimate_total([Measurement((0,), np.array([-30.0, 2.0]), 5.0)]) == 1.0


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=6),
    st.integers(0, 10_000),
    st.integers(0, 2**32),
)
def test_round_shares_gives_whole_rows_next_to_the_expected_ones(
    shares: list[list[float]], rows: int, seed: int
) -> None:
    counts = np.full(len(shares), rows)
    table = np.array(shares)
    found = round_shares(table, counts, np.random.default_rng(seed))
    assert (found.sum(axis=1) == counts).all()
    assert (found >= 0).all()
    sums = table.sum(axis=1, keepdims=True)
    expected = np.where(sums > 0, table / np.where(sums > 0, sums, 1), 0.25) * rows
    assert (np.abs(found - expected) < 1 + 1e-6).all()
    assert (found[(sums > 0).ravel()][table[(sums > 0).ravel()] == 0] == 0).all()


def test_round_shares_is_right_on_average() -> None:
    shares = np.tile([0.15, 0.05, 0.3, 0.5], (20_000, 1))
    found = round_shares(shares, np.full(20_000, 3), np.random.default_rng(1))
    assert found.mean(axis=0) == pytest.approx(3 * shares[0], abs=0.02)


@settings(max_examples=30, deadline=None)
@given(graphs(), st.integers(0, 2**32))
def test_rows_have_the_marginals_of_the_model(graph: tuple[tuple[int, ...], list[Clique]], seed: int) -> None:
    model, _ = make_model(*graph, seed)
    sizes, rows = graph[0], 20_000
    codes = draw(model, rows, np.random.default_rng(seed))
    assert [len(column) for column in codes] == [rows] * len(sizes)
    for clique, beliefs in zip(model.tree.cliques, model.beliefs, strict=True):
        cells = np.ravel_multi_index([codes[column] for column in clique], [sizes[column] for column in clique])
        found = np.bincount(cells, minlength=beliefs.size).reshape(beliefs.shape) / rows
        # Rounding moves less than a row in each cell of each column drawn; only the separator's own deviation adds.
        assert np.abs(found - beliefs).sum() / 2 < 0.02


def test_draw_of_no_rows_and_of_one() -> None:
    model, _ = make_model((2, 3), [(0, 1)], 3)
    assert [len(column) for column in draw(model, 0, np.random.default_rng(0))] == [0, 0]
    assert [len(column) for column in draw(model, 1, np.random.default_rng(0))] == [1, 1]


def test_draw_repeats_with_its_seed() -> None:
    model, _ = make_model((2, 3), [(0, 1)], 3)
    one, other = (draw(model, 50, np.random.default_rng(7)) for _ in range(2))
    assert all((left == right).all() for left, right in zip(one, other, strict=True))

"""Attacks on a released table: how often an attacker singles out, links or infers, beyond what anyone could guess.

After M. Giomi, F. Boenisch, C. Wehmeyer and B. Tasnadi, "A Unified Framework for Quantifying Privacy Risk in Synthetic
Data", PoPETs 2023(2). Words: the *main* attack aims at people of the original table with the release in hand; the
*control* attack aims, with the same release, at people who are not in it: what it gains is knowledge of the world and
no breach; the *baseline* guesses without the release. The risk is (main - control)/(1 - control).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.hierarchy import Hierarchy
from desensitize.risk.comparison import Comparison, Side, common_columns, compare
from desensitize.risk.guessing import Rows, infer, link
from desensitize.risk.singling import count_matches, expect_alone, guess_predicates, list_predicates
from desensitize.tables import Table

ATTACKS: tuple[str, ...] = ("singling_out_one", "singling_out_many", "linkability", "inference")


@dataclass(frozen=True, slots=True)
class Rate:
    """A success rate by Wilson's score: the centre of its interval, and the interval."""

    attacks: int
    successes: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack's outcome: `risk` from `low` to `high`, and the three rates that it follows from.

    `columns` are those that the attacker knew; `secret` the one inferred. Without a control group the risk is the
    main rate itself. `sound`: it surely did better than guessing; if not, a low risk says nothing.
    """

    kind: str
    columns: tuple[str, ...]
    secret: str | None
    risk: float
    low: float
    high: float
    main: Rate
    control: Rate | None
    baseline: Rate
    sound: bool


@dataclass(frozen=True, slots=True)
class Attacks:
    """Every attack on one release, the number of its rows that were used, and the confidence of the intervals."""

    attacks: tuple[Attack, ...]
    released_rows: int
    confidence: float
    seed: int

    @property
    def worst(self) -> Attack:
        """Return the attack whose risk is surely the highest: by the lower end of its interval."""
        return max(self.attacks, key=lambda attack: (attack.low, attack.risk))

    def find(self, kind: str, secret: str | None = None) -> Attack:
        """Return the attack of this kind (and secret); refuses one that was not made."""
        for attack in self.attacks:
            if attack.kind == kind and secret in (None, attack.secret):
                return attack
        raise InvalidInput(f"no attack of kind `{kind}` was made; there are: {', '.join(a.kind for a in self.attacks)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as plain values for JSON."""
        return asdict(self)


def measure_attacks(
    original: Table,
    released: Table,
    control: Table | None = None,
    quasi_identifiers: Sequence[str] | None = None,
    secrets: Sequence[str] = (),
    attacks: int = 500,
    seed: int = 0,
    *,
    columns_each: int = 3,
    halves: tuple[Sequence[str], Sequence[str]] | None = None,
    neighbours: int = 10,
    tolerance: float = 0.05,
    confidence: float = 0.95,
    entity: str | None = None,
    hierarchies: Mapping[str, Hierarchy] | None = None,
    levels: Mapping[str, int] | None = None,
) -> Attacks:
    """Return the measured risk of singling out, linking and inferring on `released`, made from `original`.

    `control` holds people who are in neither (the same columns; the best size is the original's). The attacker knows
    `quasi_identifiers` (by default every column that both tables have, but the secrets): one of them, and
    `columns_each` or more, single out; two `halves` (every other column, or as named) are linked by a common row among
    the `neighbours` nearest to each; each of `secrets` is inferred, a number within `tolerance` of itself.
    `hierarchies` and `levels` say how columns were generalized, which the attacker is taken to know. With `entity`,
    alone means one entity. Refuses a column that is not in every table, and fewer than one attack.
    """
    _check(attacks, columns_each, neighbours, confidence)
    shared = [name for name in common_columns(original, released) if name != entity]
    known = list(quasi_identifiers) if quasi_identifiers is not None else [n for n in shared if n not in secrets]
    if not known:
        raise InvalidPlan("the attacker must know at least one column; name the quasi-identifiers")
    recoding = {name: (hierarchies[name], level) for name, level in (levels or {}).items() if hierarchies}
    parts = halves or (known[::2], known[1::2])
    everything = list(dict.fromkeys([*known, *secrets, *parts[0], *parts[1]]))
    tables = compare(original, released, control, everything, entity=entity, recoding=recoding)
    judge = _Judge(tables, attacks, confidence, np.random.default_rng(seed))
    made = [judge.single_out(known, 1), judge.single_out(known, min(columns_each, len(known)))]
    if parts[0] and parts[1]:
        made.append(judge.link(parts, neighbours))
    made += [judge.infer([n for n in known if n != secret], secret, tolerance) for secret in secrets]
    return Attacks(tuple(made), tables.released.rows, confidence, seed)


def _check(attacks: int, columns_each: int, neighbours: int, confidence: float) -> None:
    if min(attacks, columns_each, neighbours) < 1 or not 0 < confidence < 1:
        raise InvalidPlan("attacks, columns_each and neighbours are at least 1, and confidence lies between 0 and 1")


def wilson(successes: float, attacks: int, confidence: float = 0.95) -> Rate:
    """Return a success rate with its Wilson score interval (E. B. Wilson, JASA 22, 1927)."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    if attacks == 0:
        return Rate(0, 0.0, 0.0, 0.0, 1.0)
    centre = (successes + z * z / 2) / (attacks + z * z)
    reach = z / (attacks + z * z) * math.sqrt(successes * (attacks - successes) / attacks + z * z / 4)
    return Rate(attacks, successes, centre, max(0.0, centre - reach), min(1.0, centre + reach))


@dataclass(frozen=True, slots=True)
class _Judge:
    """Runs attacks on the same tables with the same numbers."""

    tables: Comparison
    attacks: int
    confidence: float
    rng: np.random.Generator

    def single_out(self, columns: list[str], each: int) -> Attack:
        """Guess predicates that hold for exactly one row, or entity, of the original."""
        tables = self.tables
        found = list_predicates(tables.released, tables.spans, columns, each, self.attacks, self.rng)
        guesses = guess_predicates(tables.released, tables.spans, columns, each, self.attacks, self.rng)
        main = sum(count == 1 for count in count_matches(tables.original, found))
        baseline = sum(count == 1 for count in count_matches(tables.original, guesses))
        control = None
        if tables.control is not None:
            people = len(np.unique(tables.original.owner))
            others = len(np.unique(tables.control.owner))
            counts = count_matches(tables.control, found)
            control = wilson(len(found) * expect_alone(counts, others, people), len(found), self.confidence)
        kind = "singling_out_one" if each == 1 else "singling_out_many"
        return self._weigh(kind, columns, None, main, len(found), control, baseline, len(guesses))

    def link(self, halves: tuple[Sequence[str], Sequence[str]], neighbours: int) -> Attack:
        """Find two halves of a person's columns in the same row of the release."""

        def attack(side: Side, rows: Rows) -> int:
            return link(side, self.tables, rows, halves, neighbours, self.rng)

        main, tried = self._aim(self.tables.original, attack)
        control = self._aim_at_control(attack)
        size = self.tables.released.rows
        shots = self.rng.integers(0, size, (2, tried, neighbours))
        baseline = sum(bool(set(a.tolist()) & set(b.tolist())) for a, b in zip(*shots, strict=True))
        return self._weigh("linkability", [*halves[0], *halves[1]], None, main, tried, control, baseline, tried)

    def infer(self, columns: list[str], secret: str, tolerance: float) -> Attack:
        """Guess a secret from the rows of the release that are nearest to what is known."""
        if not columns:
            raise InvalidPlan(f"to infer `{secret}` the attacker must know another column")

        def attack(side: Side, rows: Rows) -> int:
            return infer(side, self.tables, rows, columns, secret, tolerance)

        main, tried = self._aim(self.tables.original, attack)
        control = self._aim_at_control(attack)
        rows = self._choose(self.tables.original)
        baseline = infer(self.tables.original, self.tables, rows, [], secret, tolerance, self.rng)
        return self._weigh("inference", columns, secret, main, tried, control, baseline, len(rows))

    def _choose(self, side: Side) -> Rows:
        """Return rows to attack: of different entities, as many as there are attacks, or all."""
        order = self.rng.permutation(side.rows)
        _, first = np.unique(side.owner[order], return_index=True)
        chosen: Rows = order[np.sort(first)[: self.attacks]]
        return chosen

    def _aim(self, side: Side, attack: Callable[[Side, Rows], int]) -> tuple[int, int]:
        rows = self._choose(side)
        return attack(side, rows), len(rows)

    def _aim_at_control(self, attack: Callable[[Side, Rows], int]) -> Rate | None:
        if self.tables.control is None or not self.tables.control.rows:
            return None
        hits, tried = self._aim(self.tables.control, attack)
        return wilson(hits, tried, self.confidence)

    def _weigh(
        self, kind: str, columns: list[str], secret: str | None, main: int, tried: int, control: Rate | None,
        baseline: int, guessed: int,
    ) -> Attack:  # fmt: skip
        rate, base = wilson(main, tried, self.confidence), wilson(baseline, guessed, self.confidence)
        risk, low, high = _beyond(rate, control)
        sound = rate.low > base.high
        return Attack(kind, tuple(columns), secret, risk, low, high, rate, control, base, sound)


def _beyond(main: Rate, control: Rate | None) -> tuple[float, float, float]:
    """Return (main - control)/(1 - control), at least 0, with its interval by propagation of both errors."""
    if control is None:
        return main.value, main.low, main.high
    rest = max(1.0 - control.value, 1e-9)
    risk = (main.value - control.value) / rest
    of_main = (main.high - main.low) / 2 / rest
    of_control = (control.high - control.low) / 2 * abs(main.value - 1.0) / rest**2
    reach = math.hypot(of_main, of_control)
    clipped = [min(1.0, max(0.0, value)) for value in (risk, risk - reach, risk + reach)]
    return clipped[0], clipped[1], clipped[2]

"""What an agreement says about money, and what each party is entitled to of an income: exact, in fractions.

Of a month's income under an authorization, tax apart, the infrastructure rate comes first (J23 art. 17). What is left
runs down the *waterfall*: fixed sums to a party, then bands of income with an allocation each, then the agreement's
allocation. The waterfall is exact for any income; a line is entitled to what its income adds to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from shuzha.core.errors import Invalid
from shuzha.core.money import apportion
from shuzha.settlement.plans import Version

WHOLE = 10_000


@dataclass(frozen=True, slots=True)
class FixedShare:
    """A sum of fen that a party gets first of each month's income."""

    party: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Band:
    """How a month's income is allocated up to a sum of fen, counted behind the fixed shares."""

    up_to_fen: int
    shares: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class EntryShare:
    """Whose a raw entry is, and its weight in the provider's part by measured contribution."""

    provider: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a product: its agreement in basis points, which organisation is which party, prices and tax.

    `agreement` is the hash of the signed document. `entries` are the raw entries behind the product; `claims` says
    which entries answer a claim, by the number of their columns in it. `departments` are consumers who verify free.
    Where the use is of infrastructure, all of it is infrastructure's and no entry earns.
    """

    authorization: str
    infrastructure: int
    shares: Mapping[str, int]
    organisations: Mapping[str, str]
    agreement: str = ""
    fixed: tuple[FixedShare, ...] = ()
    bands: tuple[Band, ...] = ()
    versions: tuple[Version, ...] = ()
    vat: int = 0
    entries: Mapping[str, EntryShare] = field(default_factory=dict)
    claims: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    departments: frozenset[str] = frozenset()
    code: str = ""
    is_infrastructure: bool = False


def check_terms(terms: Terms) -> None:
    """Refuse shares that do not sum to the whole, and a party without an organisation."""
    for shares in (terms.shares, *(band.shares for band in terms.bands)):
        if sum(shares.values()) != WHOLE or any(share < 0 for share in shares.values()):
            raise Invalid(f"the shares of {terms.authorization} do not sum to {WHOLE}", rule="settlement.shares")
    if not 0 <= terms.infrastructure < WHOLE:
        raise Invalid(
            f"the infrastructure rate of {terms.authorization} is out of range", rule="settlement.infrastructure"
        )
    for party in () if terms.is_infrastructure else terms.shares:
        if not terms.organisations.get(party):
            raise Invalid(f"the agreement of {terms.authorization} shares with a party `{party}` that nobody is")


def entitled(terms: Terms, income: int) -> dict[str, Fraction]:
    """Return what each party is entitled to of a month's income (behind tax and infrastructure); sums to it exactly.

    The entitlement of a negative income, where credits prevail, mirrors that of the positive one.
    """
    if income < 0:
        return {party: -part for party, part in entitled(terms, -income).items()}
    found = dict.fromkeys(terms.shares, Fraction(0))
    left = income
    for one in terms.fixed:
        taken = min(left, one.amount_fen)
        found[one.party] = found.get(one.party, Fraction(0)) + taken
        left -= taken
    below = 0
    for band in terms.bands:
        inside = min(left, band.up_to_fen - below)
        _allot(found, inside, band.shares)
        left, below = left - inside, band.up_to_fen
    _allot(found, left, terms.shares)
    return found


def split_added(terms: Terms, before: int, added: int) -> dict[str, int]:
    """Return the parts of `added` fen of income that come on top of `before` fen of the same month; they sum to it."""
    lower, upper = entitled(terms, before), entitled(terms, before + added)
    return apportion(added, {party: upper[party] - lower[party] for party in upper})


def split_entries(terms: Terms, part: int, claims: Mapping[str, int]) -> dict[str, int]:
    """Return the provider's part by entry: by the columns that answered the claims, else by contribution; sums to it.

    A use of a claim counts for the entries of its columns, each by their number. Uses of a claim of which nothing is
    known, and products without claims, are split by the entries' weights.
    """
    entries = terms.entries or {"": EntryShare(terms.organisations.get("provider", ""))}
    total = sum(one.weight for one in entries.values())
    by_weight = {name: Fraction(one.weight, total) if total else Fraction(1, len(entries)) for name, one in
                 entries.items()}  # fmt: skip
    weights = dict.fromkeys(entries, Fraction(0))
    uses = {claim: count for claim, count in claims.items() if count > 0}
    for claim, count in uses.items():
        columns = terms.claims.get(claim)
        if columns:
            shares = {name: Fraction(number, sum(columns.values())) for name, number in columns.items()}
        else:
            shares = by_weight
        for name, share in shares.items():
            weights[name] = weights.get(name, Fraction(0)) + count * share
    whole = sum(weights.values())
    exact = {name: part * (weight / whole) for name, weight in weights.items()} if whole else {
        name: part * share for name, share in by_weight.items()
    }  # fmt: skip
    return {name: fen for name, fen in apportion(part, exact).items() if fen or len(exact) == 1}


def _allot(found: dict[str, Fraction], income: int, shares: Mapping[str, int]) -> None:
    for party, share in shares.items():
        found[party] = found.get(party, Fraction(0)) + Fraction(income * share, WHOLE)

"""Noise on the numbers of a column, by the exact discrete Laplace sampler of OpenDP.

Values are counted in whole steps, noise is a whole number of steps, and only then it becomes a number again: noise on
floating-point numbers betrays the value in its last bits (Mironov, CCS 2012; Haney et al., arXiv 2207.13793).

The noise comes from the operating system's random source and is never derived from a key and a row: whoever holds the
key could take it off, and two releases of one changed row would differ by the change. So two runs never give the
same table, and a table is to be released once: the mean of many releases is the value.
"""

from __future__ import annotations

import polars as pl

from desensitize.transform.techniques import Noise

_LARGEST = 2.0**53


def add_noise(expr: pl.Expr, technique: Noise, *, whole: bool) -> pl.Expr:
    """Return the expression of a column of numbers with noise; whole numbers stay whole if `step` and `bottom` are.

    Null stays null; numbers beyond 2^53 steps become null.
    """
    low, step = technique.bottom or 0.0, technique.step
    number = expr.cast(pl.Float64)
    if technique.bottom is not None and technique.top is not None:
        number = number.clip(technique.bottom, technique.top)
    steps = ((number - low) / step).round()
    steps = pl.when(steps.abs() <= _LARGEST).then(steps).cast(pl.Int64)
    noisy = steps.map_batches(_Sampler(technique), return_dtype=pl.Int64, is_elementwise=True)
    if whole and float(step).is_integer() and float(low).is_integer():
        return noisy * int(step) + int(low)
    return noisy.cast(pl.Float64) * step + low


def scale_in_steps(technique: Noise) -> float:
    """Return the scale of the discrete Laplace noise, in steps."""
    if technique.bottom is None or technique.top is None:
        return technique.scale / technique.step
    # Rounding to steps may widen the range by one.
    return (round((technique.top - technique.bottom) / technique.step) + 1) / technique.epsilon


class _Sampler:
    def __init__(self, technique: Noise) -> None:
        self._scale = scale_in_steps(technique)

    def __call__(self, steps: pl.Series) -> pl.Series:
        import opendp.prelude as dp

        dp.enable_features("contrib")
        space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
        noisy = dp.m.make_laplace(*space, scale=self._scale)(steps.fill_null(0).to_list())
        made = pl.Series(steps.name, noisy, dtype=pl.Int64)
        return pl.select(pl.when(steps.is_not_null()).then(made).alias(steps.name)).to_series()

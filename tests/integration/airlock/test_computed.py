"""Regressions, figures and repairs, from a notebook's declaration to what leaves."""

from __future__ import annotations

import io
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl

from sandbox.airlock.model import ExportState
from tests.airlock_kit import AirlockCity
from tests.releases_kit import payments

REGRESSION = (
    'workbench.export("by_kind", workbench.regression("social_insurance", "base ~ C(kind) + C(district_code)", '
    'errors="clustered"), "does the base differ")'
)
FIGURE = (
    'workbench.export("drawn", workbench.plot("social_insurance", rows=["district_code"], columns=["kind"], '
    'aggregate="entities"), "who pays what where")'
)
BINS = (
    'workbench.export("bins", workbench.plot("social_insurance", kind="histogram", value="base", aggregate="entities", '
    'edges=[4000, 8000, 12000, 16000, 20000]), "how bases lie")'
)
OWN = 'workbench.export("own", b"<svg xmlns=\'http://www.w3.org/2000/svg\'><text>1</text></svg>", "drawn by hand")'


def test_a_regression_leaves_as_the_platform_fits_it(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.RELEASED, release, REGRESSION)
    assert request.state is ExportState.RELEASED, request.findings
    left = city.airlock.read_released(city.analyst, request.id, "by_kind")
    shown = pl.read_csv(io.BytesIO(left.content))
    paid = payments(600)
    levels = {name: sorted(paid[name].unique())[1:] for name in ("kind", "district_code")}
    dummies = [(paid[name] == level).cast(pl.Float64).to_numpy() for name, some in levels.items() for level in some]
    design = np.column_stack([np.ones(paid.height), *dummies])
    estimates, *_ = np.linalg.lstsq(design, paid["base"].to_numpy(), rcond=None)
    assert np.allclose(shown["estimate"][: design.shape[1]], estimates, rtol=1e-5)
    assert shown.filter(pl.col("term") == "(entities)")["estimate"].to_list() == [600]
    assert left.form == "table"


def test_a_figure_leaves_as_the_platform_draws_it(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.RELEASED, release, FIGURE, BINS)
    assert request.state is ExportState.RELEASED, request.findings
    drawn = city.airlock.read_released(city.analyst, request.id, "drawn")
    assert (drawn.form, request.find_file("drawn").type) == ("figure", "svg")  # type: ignore[union-attr]
    said = {one.text for one in ET.fromstring(drawn.content).iter("{http://www.w3.org/2000/svg}title")}
    counted = payments(600).group_by("district_code", "kind").agg(pl.col("resident_id").n_unique().alias("who"))
    assert {f"{place} · {kind}: {who}" for place, kind, who in counted.iter_rows()} <= said
    assert ET.fromstring(city.airlock.read_released(city.analyst, request.id, "bins").content) is not None


def test_a_picture_that_the_notebook_drew_is_returned(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.RETURNED, release, OWN)
    assert request.state is ExportState.RETURNED
    assert "plot" in request.reason


def test_advice_gives_repairs_that_pass_when_they_are_submitted(city: AirlockCity) -> None:
    _, release = city.ready()
    asked = city.submission(release, notebook=b"")
    table = {
        "kind": "table", "release": "social_insurance", "rows": ["district_code"], "aggregate": "entities",
        "where": [{"column": "base", "op": "gt", "value": 20_300}, {"column": "kind", "op": "eq", "value": "pension"}],
    }  # fmt: skip
    told = city.airlock.check(city.analyst, asked, table)
    assert told["verdict"] == "block"
    assert {one["name"] for one in told["repairs"]} >= {"suppress", "merge"}
    for one in told["repairs"]:
        assert city.airlock.check(city.analyst, asked, one["specification"])["verdict"] == one["verdict"] == "pass"
    regression = {"kind": "regression", "release": "social_insurance", "formula": "base ~ C(kind)"}
    assert (
        city.airlock.check(city.analyst, asked, regression)["verdict"] == "review"
    )  # two rows a person, not clustered
    figure = {"kind": "figure", "draw": "bar", "table": table}
    assert {one["specification"]["kind"] for one in city.airlock.check(city.analyst, asked, figure)["repairs"]} == {
        "figure"
    }

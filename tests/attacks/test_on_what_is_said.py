"""What the airlock says outside of the workspace: a request is read in an office, where no screen budget counts.

Nothing of these requests is ever released; rows leave all the same where the airlock repeats what code wrote into them.
Nothing here needs root: notebooks run as scripts, and the platform judges for real.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from airlock_kit import AirlockCity

from sandbox.airlock.model import ExportRequest, ExportState
from shuzha.core.errors import NotAllowed


@pytest.fixture
def city(tmp_path: Path) -> AirlockCity:
    made = AirlockCity(tmp_path)
    made.made = made.ready()
    return made


def asked(city: AirlockCity, *cells: str) -> ExportRequest:
    _, release = city.ready()
    return city.airlock.process(city.airlock.submit(city.analyst, city.submission(release, *cells)).id)


def rows(city: AirlockCity) -> list[str]:
    """Return the pseudonyms of the release."""
    frame = city.airlock._parts.screener.inputs.release(city.ready()[1].id).frame
    return frame.collect()["resident_id"].unique().sort().to_list()


@pytest.mark.attack(
    what="rows that code wrote into a notebook, read where requests are shown", route="a submitted notebook",
    layer="airlock service", control="its reviewers read the same notebook, and the row is in it",
)  # fmt: skip
def test_a_notebook_is_not_read_back_outside(city: AirlockCity) -> None:
    secret = rows(city)[0]
    request = asked(city, f"raise ValueError({secret!r})")
    for who in (city.analyst, city.colleague):
        with pytest.raises(NotAllowed, match="read in its workspace") as refused:
            city.airlock.read_notebook(who, request.id)
        assert secret not in str(refused.value)
        assert secret not in str(city.airlock.get_export(who, request.id))
    assert secret.encode() in city.airlock.read_notebook(city.checker, request.id), "the control"


@pytest.mark.attack(
    what="a table of a cell for each person, whose blocked cells are rows", route="findings of a blocked table",
    layer="airlock service", control="its reviewers read the same findings, and rows are in them",
)  # fmt: skip
def test_findings_say_no_rows_outside(city: AirlockCity) -> None:
    table = 'workbench.table("social_insurance", rows=["resident_id"], value="base", aggregate="sum")'
    request = asked(city, f'workbench.export("everybody", {table}, "how many")')
    assert request.state is ExportState.RETURNED
    known = rows(city)
    said = str(city.airlock.get_export(city.analyst, request.id))
    assert not any(one in said for one in known)
    seen = city.airlock.get_export(city.analyst, request.id).findings
    assert {one.rule for one in seen} == {one.rule for one in request.findings}
    assert all(one.cell is None and one.figure is None for one in seen)
    control = str(city.airlock.get_export(city.checker, request.id))
    assert sum(one in control for one in known) > 50, "the control"


@pytest.mark.attack(
    what="rows as values of a specification and as the sentence about an output", route="a declared output",
    layer="airlock service", control="its reviewers read the same request, and the rows are in it",
)  # fmt: skip
def test_what_an_output_is_said_to_be_is_not_read_back_outside(city: AirlockCity) -> None:
    one, two = rows(city)[:2]
    where = f'where=[("resident_id", "!=", {one!r})]'
    table = f'workbench.table("social_insurance", rows=["district_code"], {where}, aggregate="entities")'
    request = asked(city, f'workbench.export("by_district", {table}, {two!r})')
    said = str(city.airlock.get_export(city.analyst, request.id))
    assert one not in said
    assert two not in said
    control = str(city.airlock.get_export(city.checker, request.id))
    assert one in control, "the control"
    assert two in control, "the control"

"""A request whose run did not end well comes back, whatever its notebook had declared by then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sandbox.airlock.model import ExportState
from sandbox.workspaces.clean_room.run import Run, RunState
from tests.airlock_kit import TABLE, VERIFICATION, AirlockCity, UnjailedRoom

FIGURE = (
    'workbench.export("bars", workbench.plot(workbench.table("social_insurance", rows=["district_code"],'
    ' aggregate="entities")), "how many")'
)
REGRESSION = 'workbench.export("fit", workbench.regression("social_insurance", "base ~ C(kind)"), "how much")'
FILE = 'workbench.export("mine", b"a,b\\n1,2\\n", "figures for the report")'


class ShortRoom(UnjailedRoom):
    """Its runs end as they are told to, after everything was declared."""

    def __init__(self, state: RunState) -> None:
        super().__init__()
        self.state = state

    def run(self, content: bytes, releases: Sequence[str]) -> Run:
        return replace(super().run(content, releases), state=self.state)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (RunState.TIMED_OUT, "took too long"),
        (RunState.ENDED, "was ended by the clean room"),
        (RunState.FAILED, "failed"),
    ],
)
def test_what_a_run_declared_before_it_failed_is_not_judged(city: AirlockCity, state: RunState, said: str) -> None:
    _, release = city.ready()
    cells = (TABLE, VERIFICATION, FIGURE, REGRESSION, FILE)
    whole = city.airlock.process(city.airlock.submit(city.analyst, city.submission(release, *cells)).id)
    assert len(whole.files) == len(cells)
    short = city.make_service(ShortRoom(state))
    request = short.process(short.submit(city.analyst, city.submission(release, *cells)).id)
    assert (request.state, request.files, request.verdict) == (ExportState.RETURNED, (), "block")
    assert said in request.reason


@pytest.mark.boundary(
    rule="own_files", passes="a request that rests on releases alone",
    fails="one that shows a file which the unit brought in (review)",
)  # fmt: skip
def test_own_files_ask_people(city: AirlockCity) -> None:
    _, release = city.ready()
    for own, found in (((), []), (("imp_1",), ["review"])):
        submitted = city.airlock.submit(city.analyst, city.submission(release, TABLE, own_files=own))
        request = city.airlock.process(submitted.id)
        assert [one.severity.value for one in request.findings if one.rule == "own_files"] == found

"""The questions of a data service, judged before it leaves: what may be asked, not yet what is answered.

Each answer is checked by the same rules when it is given (`products.forms.querying`); here it is asked whether answers
can be checked at all, and people judge what a caller may ask.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.airlock import labels
from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.inputs import Source
from sandbox.airlock.recompute import check_columns, condition
from sandbox.airlock.specification import Condition, ServiceSpecification


def judge(service: ServiceSpecification, source: Source) -> Iterator[Finding]:
    """Yield what speaks against a service; refuses columns that the entry lacks and values of a wrong type.

    Blocked are entries whose persons cannot be counted, and parameters or groupings that name somebody. It is never
    better than review.
    """
    schema = source.frame.collect_schema()
    check_columns(sorted(service.used_columns), schema)
    condition(service.where, schema)
    for one in service.parameters:
        for value in one.domain:
            condition([Condition(one.column, one.op, value)], schema)
    if source.entity is None:
        accepted = "an entry with an entity key, and a grant that holds it: answers are compared by whom they are about"
        yield Finding("min_count", Severity.BLOCK, accepted)
    naming = {*source.naming, *({source.entity} if source.entity else ())}
    asked = {*service.rows, *(one.column for one in service.parameters)} & naming
    if asked:
        accepted = "parameters and groupings on columns that neither name anybody nor hold free text"
        yield Finding("scope", Severity.BLOCK, accepted, place=f"column {min(asked)}")
    texts = [one.name for one in service.parameters]
    texts += [str(value) for one in service.parameters for value in one.domain if isinstance(value, str)]
    yield from labels.check_texts(texts, "parameter")
    accepted = "people judge what a caller may ask; each answer is checked when it is given"
    yield Finding("free_form", Severity.REVIEW, accepted, figure=service.questions, place="questions")

"""A grant goes out as ODRL and comes back the same; whatever is not of this form is refused."""

import copy
import json
import random

import pytest

from policies import Hours, Narrowing, Quota, make_scope
from policies.odrl import CONTEXT, read_odrl, write_odrl
from shuzha.core.errors import Invalid
from tests.policies_kit import random_made

FILTER = (
    '[{"column":"district","op":"in","value":["历下","市中"]},{"column":"left_on","op":"is_null","value":null},'
    '{"column":"age","op":"ge","value":18}]'
)


@pytest.fixture
def scope(make_grant):
    return make_grant(
        operations=["view", "join"], row_filter=FILTER, hours=Hours(510, 1_080, True), quota=Quota(1_000, "month"),
        narrowed=[Narrowing("export:verification", ("age",))],
    )  # fmt: skip


def through_json(document):
    return json.loads(json.dumps(document, ensure_ascii=False))


def test_a_scope_comes_back_the_same(scope):
    assert read_odrl(through_json(write_odrl(scope, "org_provider"))) == scope


def test_three_hundred_random_scopes_come_back_the_same():
    chance = random.Random(22)
    for number in range(300):
        scope = make_scope(**random_made(chance, number))
        assert read_odrl(through_json(write_odrl(scope, "org_provider"))) == scope


def test_the_document_is_an_agreement_of_odrl(scope):
    document = write_odrl(scope, "org_provider")
    assert (document["@context"], document["@type"]) == (list(CONTEXT), "Agreement")
    assert document["assignee"].endswith("org_operator")
    permission = document["permission"][0]
    assert set(permission) == {"action", "constraint", "shuzha:part"}
    purposes = [each for each in permission["constraint"] if each["leftOperand"] == "purpose"]
    assert purposes == [{"leftOperand": "purpose", "operator": "isAnyOf", "rightOperand": ["loan-review"]}]


def changed(document, change):
    document = copy.deepcopy(document)
    change(document)
    return document


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(prohibition=[]),
        lambda d: d.update({"@type": "Offer"}),
        lambda d: d.update({"@context": ["http://www.w3.org/ns/odrl.jsonld"]}),
        lambda d: d.update(uid="grt_1"),
        lambda d: d.update(permission={}),
        lambda d: d["permission"][0].update(duty=[]),
        lambda d: d["permission"][0]["action"].append("sell"),
        lambda d: d["permission"][0]["constraint"][0].update(operator="isAllOf"),
        lambda d: d["permission"][0]["constraint"][0].update(leftOperand="shuzha:anything"),
        lambda d: d["permission"][0]["constraint"].append(d["permission"][0]["constraint"][0]),
        lambda d: d["permission"][0]["constraint"].pop(0),
        lambda d: d["permission"][0]["constraint"].append({"leftOperand": "count", "operator": "lteq"}),
        lambda d: d["permission"][0]["constraint"][0]["rightOperand"].append(7),
        lambda d: [e.update(rightOperand="2027-01-01") for e in d["permission"][0]["constraint"]
                   if e["leftOperand"] == "dateTime"],
        lambda d: d["target"]["refinement"][0].update(operator="like"),
        lambda d: d["target"].update(source=7),
    ],
)  # fmt: skip
def test_what_is_not_of_this_form_is_refused(scope, change):
    with pytest.raises(Invalid, match="ODRL document has"):
        read_odrl(through_json(changed(write_odrl(scope, "org_provider"), change)))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["shuzha:columns"].append("name"),
        lambda d: d["permission"][0]["constraint"][0]["rightOperand"].append("name"),
        lambda d: d["target"].update(refinement=[]),
        lambda d: d.update(assignee="urn:shuzha:organisation:org_other"),
        lambda d: d.update({"shuzha:version": "0" * 32}),
        lambda d: [e.update(rightOperand="2037-01-01T00:00:00+00:00") for p in d["permission"] for e in p["constraint"]
                   if (e["leftOperand"], e["operator"]) == ("dateTime", "lt")],
    ],
)  # fmt: skip
def test_a_document_that_somebody_changed_is_refused(scope, change):
    with pytest.raises(Invalid, match="what its version is the hash of"):
        read_odrl(through_json(changed(write_odrl(scope, "org_provider"), change)))

import pytest

from policies import Permission
from policies.rolebook import RoleBook, read_roles
from policies.roles import ROLES
from policies.scopecheck import REQUIRED
from shuzha.core.errors import Invalid

HEADER = "permission,role,relation,basis\n"


def test_roles_file_and_enum_name_the_same_permissions():
    assert {line.permission for line in RoleBook.load().lines} == set(Permission)


def test_permissions_stand_in_order_and_are_named_by_their_value():
    values = [permission.value for permission in Permission]
    assert values == sorted(values)
    assert all(permission.name == permission.value.upper().replace(":", "_") for permission in Permission)


def test_every_role_holds_something_and_every_line_has_its_basis():
    lines = RoleBook.load().lines
    assert {line.role for line in lines} == set(ROLES)
    assert all(line.basis for line in lines)


def test_scope_permissions_are_those_on_data():
    assert set(REQUIRED) == {permission for permission in Permission if permission.noun == "data"}


def test_administrator_and_auditor_hold_no_business_permission():
    held = {role: {line.permission.noun for line in RoleBook.load().lines if line.role == role} for role in ROLES}
    assert held["administrator"] == {"account", "organisation", "settings"}
    assert held["auditor"] == {"audit"}


def test_regulator_changes_nothing_but_what_supervision_is_made_of():
    own = {"alert", "order", "witness"}
    lines = [line.permission for line in RoleBook.load().lines if line.role == "regulator"]
    assert {line.verb for line in lines if line.noun not in own} == {"view", "browse"}


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("entry:fly,provider,own,x", "line 2"),
        ("entry:view,pilot,own,x", "pilot"),
        ("entry:view,provider,friend,x", "friend"),
        ("entry:view,provider,own", "3 columns"),
        ("entry:view,provider,own,x\nentry:view,provider,own,y", "line 3 stands twice"),
    ],
)
def test_read_roles_refuses_a_bad_line_by_its_number(row, complaint):
    with pytest.raises(Invalid, match=complaint):
        read_roles(HEADER + row + "\n")


def test_read_roles_refuses_another_heading():
    with pytest.raises(Invalid, match="heading"):
        read_roles("role,permission\n")

from pathlib import Path

from policies.reference import render_reference
from policies.rolebook import RoleBook

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "roles-and-permissions.md"


def test_the_reference_page_is_current():
    assert PAGE.read_text("utf-8") == render_reference(RoleBook.load())

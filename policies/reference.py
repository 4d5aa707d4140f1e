"""The reference page of roles and permissions, made from the roles file; a test holds the kept page to it."""

from __future__ import annotations

from policies.relations import MEANINGS
from policies.rolebook import RoleBook
from policies.roles import ROLES
from policies.scopecheck import REQUIRED

_INTRODUCTION = """\
# Roles and permissions

Made from `policies/roles.csv` by `policies/reference.py`; a test fails when this page is not current.
To change who may do what, edit the file, then write this page again:
`python -m policies.reference > docs/reference/roles-and-permissions.md`.

Different people administer, operate and audit (Z20 art. 33): no one holds roles of two duties.
"""

_SCOPES = """\
These permissions also ask the grant's scope. An attribute named here must be given; whatever is given must lie within
the grant.
"""


def render_reference(book: RoleBook) -> str:
    """Return the page as Markdown."""
    parts = [_INTRODUCTION, "## Roles\n", "| role | title | duty | what for |", "|---|---|---|---|"]
    parts += [
        f"| `{role.name}` | {role.title_en} {role.title_zh} | {role.duty} "
        f"| {role.description_en} {role.description_zh} |"
        for role in ROLES.values()
    ]
    parts += ["\n## Relations\n", "| relation | the role may do it for |", "|---|---|"]
    parts += [f"| `{name}` | {meaning} |" for name, meaning in MEANINGS.items()]
    parts += ["\n## Permissions\n", "| permission | who, and in which relation | basis |", "|---|---|---|"]
    parts += [_row(book, permission) for permission in dict.fromkeys(line.permission.value for line in book.lines)]
    parts += [
        "\n## What a request for data must say\n",
        _SCOPES,
        "| permission | attributes that must be given |",
        "|---|---|",
    ]
    parts += [f"| `{permission}` | {', '.join(names)} |" for permission, names in REQUIRED.items()]
    return "\n".join(parts) + "\n"


def _row(book: RoleBook, permission: str) -> str:
    lines = [line for line in book.lines if line.permission == permission]
    who = ", ".join(f"{line.role} ({line.relation})" for line in lines)
    basis = "; ".join(dict.fromkeys(line.basis for line in lines))
    return f"| `{permission}` | {who} | {basis} |"


if __name__ == "__main__":
    import sys

    sys.stdout.write(render_reference(RoleBook.load()))

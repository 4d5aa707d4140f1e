"""Who may do what, and why: `Policies.decide(actor, permission, resource, context) -> Decision`.

Words used here. A *permission* is `<noun>:<verb>`. A *role* is held by an account; the roles file says which role holds
which permission in which *relation* to the thing (own, author, independent …). A *scope* is what one grant allows with
data; permissions `data:*` ask for both. A *decision* says yes or no, the reason, the policy line and how long it holds.
"""

from policies.compiling import Narrowing, make_scope
from policies.decisions import Context, Decision, Resource
from policies.engine import Held, Policies
from policies.permissions import Permission
from policies.roles import ROLES, Role, check_exclusive
from policies.scopes import (
    OWN_FILE,
    Citation,
    Line,
    NoScopes,
    Period,
    Quota,
    Scope,
    ScopeSource,
    ScopeState,
)
from policies.windows import Hours

__all__ = [
    "OWN_FILE",
    "ROLES",
    "Citation",
    "Context",
    "Decision",
    "Held",
    "Hours",
    "Line",
    "Narrowing",
    "NoScopes",
    "Period",
    "Permission",
    "Policies",
    "Quota",
    "Resource",
    "Role",
    "Scope",
    "ScopeSource",
    "ScopeState",
    "check_exclusive",
    "make_scope",
]

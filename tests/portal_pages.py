"""Which pages each person of the small city opens: one list for unit tests, accessibility and screenshots."""

from __future__ import annotations

from tests.portal_kit import PortalCity

PUBLIC = ("/", "/public", "/public/authorizations", "/public/products", "/sign-in", "/status", "/problems")


def pages_of(city: PortalCity) -> dict[str, tuple[str, ...]]:
    """Return the paths that each login opens with success."""
    made = city.made
    entry, authorization, demand = (
        f"/entries/{made['entry']}", f"/authorizations/{made['authorization']}", f"/demands/{made['demand']}",
    )  # fmt: skip
    product, export, release = (
        f"/products/{made['product']}",
        f"/exports/{made['export']}",
        f"/releases/{made['release']}",
    )
    workspace = f"/workspaces/{made['workspace']}"
    policy = f"/policies?grant={made['grant']}&permission=data:open&place=workspace&operation="
    what_if = (
        f"{authorization}/what-if?valid_until=2027-01-31&operations=view&entries={made['entry']}&purposes=loan-review"
    )
    own_files = tuple(f"/imports/{made[f'import.{name}']}" for name in ("read", "screened", "inside"))
    registration, resource = f"/registrations/{made['product']}", f"/registrations/{made['resource']}"
    noticed, case = f"/registrations/{made['product.held']}", f"/cases/{made['case']}"
    public = (f"/public/notices/{made['product.held']}", f"/public/products/{made['product']}")
    asking = f"/cases/new?subject={made['product']}&kind="
    person = f"/people/{city.people['analyst'].id}"
    mending = ("/requirements", f"/requirements/{made['requirement']}")
    supervision = (
        "/oversight/usage", f"/oversight/usage?product={made['product']}&first={made['month']}-01", "/alerts",
        "/alerts?show=every", f"/alerts/{made['alert']}", "/orders", f"/orders/{made['order']}", "/notices",
        f"/oversight/entries/{made['entry']}", f"/oversight/fen?statement={made['statement.bill']}&fen=1", *mending,
    )  # fmt: skip
    money = ("/usage", f"/usage?period={made['month']}", "/statements", f"/products/{made['product']}/prices")
    return {
        "provider": (
            "/tasks", "/entries", entry, f"/entries/{made['entry.returned']}", "/authorizations", authorization,
            f"/demands/{made['demand.checked']}", release, "/products", product, *money,
            f"/statements/{made['statement.provider']}", f"{policy}aggregate", *mending, "/registrations",
            resource, case,
            f"{asking}correction", f"/registrations/new?entry={made['entry']}",
        ),
        "authority": (
            "/tasks", f"/entries/{made['entry.submitted']}", "/authorizations", authorization,
            f"/authorizations/{made['authorization.applied']}", f"/demands/{made['demand.submitted']}", workspace,
            "/announcements", f"/announcements/{made['announcement.draft']}",
            f"/authorizations/{made['authorization.qualified']}", f"/authorizations/{made['authorization.reviewed']}",
            f"/authorizations/{made['authorization.noticed']}", "/imports", own_files[1], own_files[2],
            f"{policy}train", what_if, "/policies",
            "/exports", "/exports?show=rules", f"/exports/{made['export.differs']}", product, *money, "/oversight",
            f"{product}/form", f"/products/{made['product.notice']}/form",
            "/people", person, "/exits",
            f"/oversight?period={made['month']}", *supervision,
        ),
        "operator": (
            "/tasks", "/authorizations", authorization, demand, f"/demands/{made['demand.bare']}", release,
            "/announcements", f"/announcements/{made['announcement']}",
            f"/authorizations/{made['authorization.applied']}",
            f"/authorizations/{made['authorization']}/demands?entry={made['entry']}",
            f"/public/authorizations/{made['authorization']}", f"{policy}view", f"{authorization}/what-if",
            "/workspaces", workspace, "/imports", own_files[0], "/people", person, "/exits",
            export, "/products", f"/products/new?export={made['export']}&file=by_district", product,
            *mending,
            f"/products/{made['product.notice']}", *money, f"/statements/{made['statement.authorization']}",
            "/registrations", registration, noticed, case, f"{asking}change", f"{asking}cancellation", *public,
        ),
        "analyst": (
            "/tasks", "/entries", "/workspaces", workspace, "/exports", "/exports?show=mine", export,
            "/imports", *own_files,
            f"/exports/{made['export.screened']}", f"/exports/{made['export.returned']}", "/products", release,
        ),
        "checker1": (
            "/tasks", "/exports", "/exports?show=all", "/exports?show=fared", f"/exports/{made['export.screened']}",
            f"/exports/{made['export.voted']}", f"{export}?file=by_district", f"{export}?file=insured",
            "/imports", own_files[1], own_files[2],
        ),
        "checker2": ("/tasks", "/exports", f"/exports/{made['export.voted']}"),
        "expert1": ("/tasks", "/assessments", f"/assessments/{made['assessment.1']}", "/announcements"),
        "expert2": ("/tasks", f"/assessments/{made['assessment.2']}"),
        "registry": (
            "/tasks", "/products", product, f"/products/{made['product.notice']}", "/registrations", registration,
            resource, noticed, case,
        ),
        "consumer": (
            "/tasks", "/products", "/notices", product, f"/keys/{made['key']}", *money,
            f"/statements/{made['statement.bill']}",
            "/apps", f"/apps/{made['app']}", f"/try/{made['product']}",
        ),
        "regulator": (
            "/tasks", "/host", "/oversight", f"/oversight?period={made['month']}", "/audit", "/entries", entry,
            "/authorizations", authorization, "/exports", export, "/products", product, *money, f"{policy}aggregate",
            f"/statements/{made['statement.bill']}", f"/oversight/lines/{made['statement.bill']}/0", *supervision,
        ),
        "auditor": ("/tasks", "/audit"),
        "admin": ("/tasks", "/accounts", "/host", "/people", person),
    }  # fmt: skip

"""People: organisations, accounts, sign-in, sessions, and the OpenID provider that the sandbox's hub trusts.

An *account* belongs to one person of one organisation and holds roles; a *session* is one signed-in browser or program;
its token is shown once and kept only as a hash.
"""

from shuzha.people.model import Account, AccountState, Organisation, OrganisationKind, Session
from shuzha.people.service import People
from shuzha.people.sessions import NotSignedIn, SignedIn, TooManyAttempts

__all__ = [
    "Account",
    "AccountState",
    "NotSignedIn",
    "Organisation",
    "OrganisationKind",
    "People",
    "Session",
    "SignedIn",
    "TooManyAttempts",
]

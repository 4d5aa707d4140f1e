"""The OpenID provider: how the sandbox's hub learns who signed in at the portal.

One flow only: authorization code with PKCE (S256, always) for confidential clients whose redirect addresses are known
to the letter. Why it is written here is in docs/adr/0002-oidc-provider.md. Sources: RFC 6749, 7636, 9207, 9700; OpenID
Connect Core 1.0. Codes and tokens are random, kept as hashes, and end with the portal's session that they came of.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

from shuzha.core.actor import platform_actor
from shuzha.core.clock import Clock
from shuzha.core.errors import Invalid
from shuzha.core.work import Database, Work
from shuzha.people.model import ABSOLUTE, Account, Session
from shuzha.people.service import People
from shuzha.people.sessions import token_hash
from shuzha.people.store import ACCESS_TOKENS, CODES, AccessToken, Code, revoke_tokens

CODE_LIFE = dt.timedelta(seconds=60)
SCOPES = ("openid", "profile")
ALGORITHM = "ES256"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{32,}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class OAuthError(Exception):
    """A refusal in the words of RFC 6749; `redirect` says whether the browser may be sent back with it."""

    def __init__(self, error: str, description: str, *, redirect: bool = False, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.redirect = redirect
        self.status = status


@dataclass(frozen=True, slots=True)
class Client:
    """A program that may ask who signed in: its secret, its exact redirect addresses, and the roles it is for."""

    id: str
    secret: str
    redirect_uris: frozenset[str]
    roles: frozenset[str] = frozenset()

    def admits(self, account: Account) -> bool:
        """Return whether the account may sign in to this program: any account where no role is asked for."""
        return not self.roles or bool(self.roles & account.roles)


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What a browser brought to /oidc/authorize, found sound."""

    client: Client
    redirect_uri: str
    state: str
    challenge: str
    nonce: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a code was exchanged for."""

    access_token: str
    id_token: str
    expires_in: int

    def body(self) -> dict[str, object]:
        """Return the token endpoint's answer."""
        return {
            "access_token": self.access_token, "token_type": "Bearer", "expires_in": self.expires_in,
            "id_token": self.id_token, "scope": " ".join(SCOPES),
        }  # fmt: skip


class Provider:
    """Issues codes and tokens for people who are signed in at the portal, and says who they are.

    Its clock is that by which sessions age, unless another is given.
    """

    def __init__(
        self,
        database: Database,
        people: People,
        *,
        issuer: str,
        clients: Iterable[Client],
        key: ec.EllipticCurvePrivateKey,
        clock: Clock | None = None,
    ) -> None:
        self.issuer = issuer
        self._database = database
        self._people = people
        self._clients = {client.id: client for client in clients}
        self._clock = clock or people.clock
        raw = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._key = ECKey.import_key(raw, {"use": "sig", "alg": ALGORITHM})
        self._key_id = self._key.thumbprint()

    def discovery(self) -> dict[str, object]:
        """Return the document of /.well-known/openid-configuration."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/oidc/authorize",
            "token_endpoint": f"{self.issuer}/oidc/token",
            "userinfo_endpoint": f"{self.issuer}/oidc/userinfo",
            "jwks_uri": f"{self.issuer}/oidc/jwks",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "scopes_supported": list(SCOPES),
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "claims_supported": ["sub", "preferred_username", "name", "organisation", "roles"],
            "authorization_response_iss_parameter_supported": True,
        }

    def jwks(self) -> dict[str, object]:
        """Return the public key that signs id tokens."""
        return {"keys": [{**self._key.as_dict(private=False), "kid": self._key_id}]}

    def read_request(self, query: Mapping[str, list[str]]) -> AuthorizationRequest:
        """Return the request of a browser.

        Refuses with `redirect=False` an unknown client or address: nobody is sent anywhere then.
        """
        client = self._clients.get(_one(query, "client_id", redirect=False))
        if client is None:
            raise OAuthError("invalid_client", "the client is not known here")
        redirect_uri = _one(query, "redirect_uri", redirect=False)
        if redirect_uri not in client.redirect_uris:
            raise OAuthError("invalid_request", "the redirect address is not one of the client's")
        if _one(query, "response_type") != "code":
            raise OAuthError("unsupported_response_type", "only `code` is offered", redirect=True)
        if "openid" not in _one(query, "scope").split():
            raise OAuthError("invalid_scope", "the scope `openid` is asked for", redirect=True)
        challenge = _one(query, "code_challenge")
        if _one(query, "code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
            raise OAuthError("invalid_request", "a code challenge of method S256 is asked for", redirect=True)
        return AuthorizationRequest(
            client, redirect_uri, _one(query, "state"), challenge, _one(query, "nonce"), _one(query, "prompt")
        )

    def issue_code(self, request: AuthorizationRequest, session: Session, account: Account) -> str:
        """Return a code for the signed-in person: good once, for a minute, at this client and address."""
        if not request.client.admits(account):
            raise OAuthError("access_denied", "none of the account's roles may sign in there", redirect=True)
        code = secrets.token_urlsafe(32)
        with self._database.work(account.actor(session.via)) as work:
            work.add(
                CODES,
                Code(
                    token_hash(code), request.client.id, session.id, account.id, request.redirect_uri,
                    request.challenge, request.nonce, self._clock.now() + CODE_LIFE,
                ),
            )  # fmt: skip
        return code

    def check_client(self, client_id: str, secret: str) -> Client:
        """Return the client that this id and secret are of, or refuse with `invalid_client`."""
        client = self._clients.get(client_id)
        expected = client.secret if client else ""
        if not hmac.compare_digest(expected.encode(), secret.encode()) or client is None or not expected:
            raise OAuthError("invalid_client", "the client's id or secret is wrong", status=401)
        return client

    def exchange(self, client: Client, form: Mapping[str, list[str]]) -> Tokens:
        """Return tokens for a code.

        Whatever is wrong with the exchange, the code is spent by it; a code that comes a second time also ends the
        tokens that it gave at the first.
        """
        if _one(form, "grant_type", redirect=False) != "authorization_code":
            raise OAuthError("unsupported_grant_type", "only `authorization_code` is offered")
        code_id = token_hash(_one(form, "code", redirect=False))
        redirect_uri, verifier = _one(form, "redirect_uri", redirect=False), _one(form, "code_verifier", redirect=False)
        code = self._spend(code_id)
        fault = self._find_fault(code, client, redirect_uri, verifier)
        found = None if code is None or fault else self._people.find_session_by_id(code.session)
        if code is None or fault or found is None:
            raise OAuthError("invalid_grant", fault or "the session at the portal is over")
        return self._issue(code, *found)

    def userinfo(self, access_token: str) -> dict[str, object]:
        """Return who the token is of; refuses it once it, its session or its account is over."""
        with self._database.read() as work:
            token = work.find(ACCESS_TOKENS, token_hash(access_token))
        found = None
        if token is not None and self._clock.now() < token.expires_at:
            found = self._people.find_session_by_id(token.session)
        client = self._clients.get(token.client) if token else None
        if found is None or client is None or not client.admits(found[1]):
            raise OAuthError("invalid_token", "the token is not known or is over", status=401)
        return claims_of(found[1])

    def _spend(self, code_id: str) -> Code | None:
        with self._database.work(platform_actor("oidc")) as work:
            code = work.find(CODES, code_id)
            if code is None:
                return None
            if code.used_at is not None:
                revoke_tokens(work, code.id)
                work.emit("session:replay", code.session, f"a code of client {code.client} came a second time")
                return None
            work.save(CODES, replace(code, used_at=self._clock.now()))
            return code

    def _find_fault(self, code: Code | None, client: Client, redirect_uri: str, verifier: str) -> str:
        if code is None or self._clock.now() >= code.expires_at:
            return "the code is not known, was used or is over"
        if code.client != client.id or code.redirect_uri != redirect_uri:
            return "the code was given to another client or address"
        if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(challenge_of(verifier), code.challenge):
            return "the code verifier does not fit"
        return ""

    def _issue(self, code: Code, session: Session, account: Account) -> Tokens:
        now, access_token = self._clock.now(), secrets.token_urlsafe(32)
        expires_at = session.started_at + ABSOLUTE
        with self._database.work(account.actor(session.via)) as work:
            self._keep(
                work, AccessToken(token_hash(access_token), code.client, code.id, session.id, account.id, expires_at)
            )
        claims = claims_of(account) | {
            "iss": self.issuer, "aud": code.client, "iat": int(now.timestamp()),
            "exp": int((now + CODE_LIFE).timestamp()), "auth_time": int(session.started_at.timestamp()),
        }  # fmt: skip
        if code.nonce:
            claims["nonce"] = code.nonce
        header = {"alg": ALGORITHM, "kid": self._key_id}
        id_token = jwt.encode(header, claims, self._key, [ALGORITHM])
        return Tokens(access_token, id_token, int((expires_at - now).total_seconds()))

    def _keep(self, work: Work, token: AccessToken) -> None:
        work.add(ACCESS_TOKENS, token)
        work.emit("session:share", token.session, f"account {token.account} signed in to {token.client}", method="oidc")


def claims_of(account: Account) -> dict[str, object]:
    """Return what a client learns of a person; `preferred_username` is the name that the hub uses."""
    return {
        "sub": account.id, "preferred_username": account.handle, "name": account.name,
        "organisation": account.organisation, "roles": sorted(account.roles),
    }  # fmt: skip


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def make_client(client_id: str, secret: str, redirect_uris: Iterable[str], roles: Iterable[str] = ()) -> Client:
    """Return a client; refuses a weak secret and a redirect address that is not an exact http(s) address."""
    addresses = frozenset(redirect_uris)
    if len(secret) < 32:
        raise Invalid(
            f"the secret of client {client_id} is short", rule="oidc.secret", accepted="32 characters or more"
        )
    if not addresses or any(not re.fullmatch(r"https?://[^\s#*]+", each) for each in addresses):
        raise Invalid(f"client {client_id} has no exact redirect address", rule="oidc.redirect", accepted="http(s)://…")
    return Client(client_id, secret, addresses, frozenset(roles))


def _one(values: Mapping[str, list[str]], name: str, *, redirect: bool = True) -> str:
    found = values.get(name, [])
    if len(found) > 1:
        raise OAuthError("invalid_request", f"`{name}` stands more than once", redirect=redirect)
    return found[0] if found else ""

"""Who may call: bearer tokens, a signed cookie for the web page, and nothing from pages of other sites.

Tokens come from the settings, or from the ledger (``cinefarm token create``), which knows their role, sites and end. Without any,
whoever reaches the port may call, and the port has to be on loopback. Tokens are known by their SHA-256; a token of full entropy
needs no slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from common.errors import PolicyError
from common.settings import Settings
from orchestrator.api.roles import Role
from orchestrator.api.token_book import Known, TokenBook

COOKIE = "cinefarm_session"
SESSION_SECONDS = 12 * 3600
"""A shift; then the person shows the token again."""

LOCAL_NAME = "local"
"""Name of who reads the token that the service writes into its state directory."""

_PAIR = re.compile(r"(?P<name>[\w.@-]{1,64}):(?P<digest>[0-9a-f]{64})(:(?P<role>\w+))?")


@dataclass(frozen=True)
class Caller:
    """Who calls: the name of a token, or the address of an unnamed client. It stands in the record of decisions."""

    name: str
    session: str = ""  # of a browser
    role: Role = Role.ADMIN
    sites: frozenset[str] | None = None  # whose jobs they see; None: all
    key: str = ""  # what a session names the token by; empty: nobody's
    digest: str = field(default="", repr=False)  # of their token


@dataclass(frozen=True)
class Access:
    """Knows the callers. ``digests``: name → SHA-256 of the token, hexadecimal; ``local``: the token of the state directory;
    ``roles``: of names in ``digests``, default admin; ``book``: tokens of the ledger."""

    digests: Mapping[str, str]
    local: str = field(default="", repr=False)
    roles: Mapping[str, Role] = field(default_factory=dict)
    book: TokenBook | None = None

    @classmethod
    def of(cls, settings: Settings, *, local: str = "", book: TokenBook | None = None) -> Access:
        """As the settings and the ledger say.

        Raises:
            PolicyError: a pair is not understood, the file cannot be read, or tokens are needed and there are none.
        """
        text = settings.api_tokens.get_secret_value().replace(",", "\n")
        if settings.api_tokens_file is not None:
            try:
                text += "\n" + settings.api_tokens_file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                hint = "Check CINEFARM_API_TOKENS_FILE."
                raise PolicyError(f"the file of API tokens cannot be read: {error}", hint=hint) from error
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        found = [_PAIR.fullmatch(line) for line in lines]
        if any(
            pair is None or pair["name"] == LOCAL_NAME or (pair["role"] or "admin") not in list(Role) for pair in found
        ):
            hint = (
                "Write name:SHA-256[:role], e.g. anna:$(printf %s TOKEN | sha256sum | cut -d' ' -f1):operator; the name 'local' is "
                f"taken, roles are {', '.join(Role)}."
            )
            raise PolicyError("an API token is not understood", hint=hint)
        digests = {pair["name"]: pair["digest"] for pair in found if pair is not None}
        roles = {pair["name"]: Role(pair["role"] or "admin") for pair in found if pair is not None}
        access = cls(digests, local, roles, book)
        if access.open and not is_loopback(settings.http_address):
            hint = (
                "Make one with `cinefarm token create`, set CINEFARM_API_TOKENS (docs/api.md), or listen on 127.0.0.1."
            )
            raise PolicyError("an API that others can reach needs tokens", hint=hint)
        return access

    @property
    def open(self) -> bool:
        """Whoever reaches the port may call."""
        return not self.digests and (self.book is None or not self.book.has_any())

    def by_token(self, token: str) -> Caller | None:
        """The caller who knows this token. The first look for one of the ledger asks the database."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        known = dict(self.digests)
        if self.local:
            known[LOCAL_NAME] = hashlib.sha256(self.local.encode()).hexdigest()
        matches = [name for name, expected in known.items() if hmac.compare_digest(digest, expected)]
        if matches:
            name = matches[0]
            key = name if name in self.digests else ""
            return Caller(name, role=self.roles.get(name, Role.ADMIN), key=key, digest=digest)
        return _caller(self.book.by_digest(digest)) if self.book else None

    def session_for(self, caller: Caller, *, now: float | None = None) -> str:
        """The cookie's value for a caller with a token: it ends by itself, and with the token."""
        end = int((time.time() if now is None else now) + SESSION_SECONDS)
        key = caller.key or caller.name
        return f"{key}|{end}|{_sign(self._digest(key), key, f'session|{end}')}"

    def by_session(self, value: str, *, now: float | None = None) -> Caller | None:
        """The caller of a cookie that we gave and that has not ended, nor has its token."""
        key, _, rest = value.partition("|")
        end, _, signature = rest.partition("|")
        digest = self._digest(key)
        if not digest or not end.isdecimal() or not end.isascii():
            return None
        right = hmac.compare_digest(signature.encode(), _sign(digest, key, f"session|{end}").encode())
        late = (time.time() if now is None else now) > int(end)
        if not right or late:
            return None
        if key in self.digests:
            return Caller(key, value, self.roles.get(key, Role.ADMIN), key=key, digest=digest)
        return _caller(self.book.by_id(key[1:]) if self.book else None, session=value)

    def form_token(self, caller: Caller) -> str:
        """What a form of the web page carries, so that it was our page that sent it.

        Without sessions it is signed with the token of the state directory: pages of other sites cannot read it either.
        """
        if caller.session:
            return _sign(caller.digest, caller.key, f"form|{caller.session}")
        return hmac.new(self.local.encode(), b"form", hashlib.sha256).hexdigest()

    def form_is_ours(self, caller: Caller, token: str) -> bool:
        """Whether a form carries the token of this caller's session."""
        return hmac.compare_digest(token.encode(), self.form_token(caller).encode())

    def signs(self, caller: Caller, token: str) -> bool:
        """Whether a caller shows their own token once more: the electronic signature of a decision (21 CFR 11.200)."""
        digest = hashlib.sha256(token.strip().encode()).hexdigest()
        return bool(caller.digest) and hmac.compare_digest(digest, caller.digest)

    def _digest(self, key: str) -> str:
        if not key.startswith("#"):
            return self.digests.get(key, "")
        known = self.book.by_id(key[1:]) if self.book else None
        return known.digest if known else ""


def _caller(known: Known | None, session: str = "") -> Caller | None:
    if known is None:
        return None
    return Caller(known.name, session, known.role, known.sites, key=f"#{known.id}", digest=known.digest)


def _sign(digest: str, key: str, text: str) -> str:
    # the key is what all replicas know of this token, and dies with it
    return hmac.new(digest.encode(), f"{key}|{text}".encode(), hashlib.sha256).hexdigest()


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False

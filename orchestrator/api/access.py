"""Who may call: bearer tokens, a signed cookie for the web page, and nothing from pages of other sites.

Without tokens whoever reaches the port may call, and the port has to be on loopback. Tokens are compared by their SHA-256 in
constant time; a token of full entropy needs no slow hash.
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

COOKIE = "cinefarm_session"
SESSION_SECONDS = 12 * 3600
"""A shift; then the person shows the token again."""

LOCAL_NAME = "local"
"""Name of who reads the token that the service writes into its state directory."""

_PAIR = re.compile(r"(?P<name>[\w.@-]{1,64}):(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True)
class Caller:
    """Who calls: the name of a token, or the address of an unnamed client. It stands in the record of decisions."""

    name: str
    session: str = ""  # of a browser


@dataclass(frozen=True)
class Access:
    """Knows the callers. ``digests``: name → SHA-256 of the token, hexadecimal; ``local``: the token of the state directory."""

    digests: Mapping[str, str]
    local: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: Settings, *, local: str = "") -> Access:
        """As the settings say.

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
        if any(pair is None or pair["name"] == LOCAL_NAME for pair in found):
            hint = "Write name:SHA-256, e.g. anna:$(printf %s TOKEN | sha256sum | cut -d' ' -f1); the name 'local' is taken."
            raise PolicyError("an API token is not understood", hint=hint)
        digests = {pair["name"]: pair["digest"] for pair in found if pair is not None}
        if not digests and not is_loopback(settings.http_address):
            hint = "Set CINEFARM_API_TOKENS (docs/api.md), or listen on 127.0.0.1."
            raise PolicyError("an API that others can reach needs tokens", hint=hint)
        return cls(digests, local)

    @property
    def open(self) -> bool:
        """Whoever reaches the port may call."""
        return not self.digests

    def by_token(self, token: str) -> Caller | None:
        """The caller who knows this token."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        known = dict(self.digests)
        if self.local:
            known[LOCAL_NAME] = hashlib.sha256(self.local.encode()).hexdigest()
        matches = [name for name, expected in known.items() if hmac.compare_digest(digest, expected)]
        return Caller(matches[0]) if matches else None

    def session_for(self, caller: Caller, *, now: float | None = None) -> str:
        """The cookie's value for a caller with a token: it ends by itself, and with the token."""
        end = int((time.time() if now is None else now) + SESSION_SECONDS)
        return f"{caller.name}|{end}|{self._sign(caller.name, f'session|{end}')}"

    def by_session(self, value: str, *, now: float | None = None) -> Caller | None:
        """The caller of a cookie that we gave and that has not ended."""
        name, _, rest = value.partition("|")
        end, _, signature = rest.partition("|")
        if name not in self.digests or not end.isdecimal() or not end.isascii():
            return None
        right = hmac.compare_digest(signature.encode(), self._sign(name, f"session|{end}").encode())
        late = (time.time() if now is None else now) > int(end)
        return Caller(name, session=value) if right and not late else None

    def form_token(self, caller: Caller) -> str:
        """What a form of the web page carries, so that it was our page that sent it.

        Without sessions it is signed with the token of the state directory: pages of other sites cannot read it either.
        """
        if caller.session:
            return self._sign(caller.name, f"form|{caller.session}")
        return hmac.new(self.local.encode(), b"form", hashlib.sha256).hexdigest()

    def form_is_ours(self, caller: Caller, token: str) -> bool:
        """Whether a form carries the token of this caller's session."""
        return hmac.compare_digest(token.encode(), self.form_token(caller).encode())

    def _sign(self, name: str, text: str) -> str:
        # the key is what all replicas know of this token, and dies with it
        return hmac.new(self.digests[name].encode(), f"{name}|{text}".encode(), hashlib.sha256).hexdigest()


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False

"""The site of a job that is handed over, by the token that hands it over."""

from __future__ import annotations

from common.errors import PolicyError
from orchestrator.api.access import Caller


def site_of(caller: Caller, asked: str) -> str:
    """The site that was asked for, else the one that the token is bound to.

    Raises:
        PolicyError: it is bound to others, or to several, and none was named.
    """
    if caller.sites is None or asked in caller.sites:
        return asked
    if not asked and len(caller.sites) == 1:
        return next(iter(caller.sites))
    hint = f"Name one of them as `site`: {', '.join(sorted(caller.sites))}."
    raise PolicyError("the token is bound to sites", hint=hint)

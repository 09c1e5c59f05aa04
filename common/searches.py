"""Where results of quality searches lie in the object store: by the month of their last use, so that old ones are found unread."""

from __future__ import annotations

from datetime import datetime

PREFIX = "searches/"

KEPT_MONTHS = 2
"""Entries of this month and the one before are used; older ones are deleted. A use in a new month writes the entry anew."""

SWEPT_MONTHS = 12
"""How far back the reconciler looks for what it has not deleted yet."""


def month_of(moment: datetime) -> str:
    """YYYY-MM."""
    return f"{moment:%Y-%m}"


def month_before(month: str, count: int = 1) -> str:
    """The month so many before."""
    years, months = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 - count, 12)
    return f"{years:04}-{months + 1:02}"


def search_key(month: str, digest: str, address: str) -> str:
    """The key of one entry: ``digest`` of the source, ``address`` of recipe, gate and tools."""
    return f"{PREFIX}{month}/{digest[:2]}/{digest}/{address}.json"


def outdated(month: str) -> tuple[str, ...]:
    """Prefixes of what nobody reads any more in this month."""
    return tuple(f"{PREFIX}{month_before(month, count)}/" for count in range(KEPT_MONTHS, KEPT_MONTHS + SWEPT_MONTHS))

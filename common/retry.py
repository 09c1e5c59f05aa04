"""Pure: a failure and the number of the attempt in, a wait or nothing out."""

from __future__ import annotations

from common.orders import Failure

FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 300.0


def wait_before_retry(failure: Failure, attempt: int, max_attempts: int) -> float | None:
    """Seconds to wait before the next attempt (2, 4, 8 … at most 300), or None to give up.

    Only errors that another try can mend are tried again (``Failure.retryable``); ``attempt`` counts from 1.
    """
    if not failure.retryable or attempt >= max_attempts:
        return None
    return float(min(FIRST_WAIT_SECONDS * 2 ** (attempt - 1), LONGEST_WAIT_SECONDS))

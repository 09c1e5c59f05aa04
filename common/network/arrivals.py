"""Where the listener keeps what it receives, so that a worker, which sees no ledger, finds an instance by its UID.

An arrival lies under ``arrivals/<ab>/<SHA-256 of the SOP Instance UID>/<arrival id>.dcm``; the object appears whole, and before
the sender is told that it is stored. Arrival ids sort by time. Equal bytes under one UID are kept once; other bytes under the
same UID are another arrival beside the first, which is never overwritten.

A worker that lets an archive send to our listener (C-MOVE):

1. ``expect(store, uid)``: the listener then takes the instance for a worker and starts no job for it by its rules;
2. sends C-MOVE for this instance; when its final response counts one completed sub-operation, the arrival is there;
3. reads ``newest(store, uid)``;
4. ``settle(store, uid)`` when the bytes are where it wants them: the note of step 1 goes, and later the arrival too.
"""

from __future__ import annotations

import hashlib
import time
from uuid import uuid4

from common.store import ObjectStore

PREFIX = "arrivals/"
"""Of the keys of everything received."""

EXPECTED = "expected/"
"""Of the keys of small objects that say which instances workers wait for, and since when."""

EXPECTED_SECONDS = 24 * 3600.0
"""So long a worker waits at most for an archive that fetches from tape; an older note is one that a dead worker left."""


def new_arrival_id() -> str:
    """32 hexadecimal digits that sort by the time of their making: milliseconds since 1970, then chance."""
    return f"{time.time_ns() // 1_000_000:012x}{uuid4().hex[:20]}"


def arrival_key(sop_instance_uid: str, arrival_id: str) -> str:
    """Where the store keeps one arrival."""
    return f"{_prefix(sop_instance_uid)}{arrival_id}.dcm"


def newest(store: ObjectStore, sop_instance_uid: str) -> str | None:
    """Key of the arrival that came last under this UID; None: none has come.

    Raises:
        StoreFault: the store cannot be listed.
    """
    return max(store.keys(_prefix(sop_instance_uid)), default=None)


def expect(store: ObjectStore, sop_instance_uid: str) -> None:
    """Note that a worker lets an archive send this instance to our listener.

    Raises:
        StoreFault: the store cannot take the note.
    """
    store.put(_note(sop_instance_uid), str(int(time.time())).encode())


def is_expected(store: ObjectStore, sop_instance_uid: str) -> bool:
    """Whether a worker waits for this instance.

    Raises:
        StoreFault: the store cannot be asked.
    """
    note = _note(sop_instance_uid)
    if store.size(note) is None:
        return False
    since = store.get(note)
    return since.isdigit() and time.time() - int(since) < EXPECTED_SECONDS


def settle(store: ObjectStore, sop_instance_uid: str) -> None:
    """The worker has what it waited for, or waits no longer.

    Raises:
        StoreFault: the store cannot forget the note.
    """
    store.delete(_note(sop_instance_uid))


def _prefix(sop_instance_uid: str) -> str:
    digest = hashlib.sha256(sop_instance_uid.encode()).hexdigest()
    return f"{PREFIX}{digest[:2]}/{digest}/"


def _note(sop_instance_uid: str) -> str:
    return f"{EXPECTED}{hashlib.sha256(sop_instance_uid.encode()).hexdigest()}"

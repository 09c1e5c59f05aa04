"""What the loop counts and times for Prometheus. Labels are bounded: queues, encoders, kinds of order, error classes, destinations of jobs.

``cinefarm serve`` names a folder in PROMETHEUS_MULTIPROC_DIR before this is imported: the loop writes there, and the server beside it
answers ``/metrics`` from it. Without the folder (``cinefarm migrate``) the figures stay in the process and nobody asks for them.
"""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from prometheus_client import Counter, Histogram

_LONG = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)  # s

orders = Counter(
    "cinefarm_orders",
    "Orders that ended, by kind and outcome (done, or the class of the failure).",
    ["kind", "outcome"],
)
queue_wait = Histogram(
    "cinefarm_queue_wait_seconds", "From sending an order to a worker's beginning it.", ["queue"], buckets=_LONG
)
encode_speed = Histogram(
    "cinefarm_encode_speed_ratio",
    "Video seconds for each second of a transcode order that encoded; search and measurement included.",
    ["encoder"],
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8, 16, 32),
)
verdicts = Counter("cinefarm_gate_verdicts", "Results by verdict: passed, missed, or not conforming.", ["verdict"])
deliveries = Counter(
    "cinefarm_deliveries",
    "Tries of a delivery by outcome (done, or the class of the failure).",
    ["destination", "outcome"],
)
delivery_time = Histogram(
    "cinefarm_delivery_seconds", "Time of a delivery that arrived.", ["destination"], buckets=_LONG
)
leases_expired = Counter("cinefarm_leases_expired", "Orders whose worker was no longer heard of.", ["queue"])
faults = Counter("cinefarm_faults", "Turns of the loop that a part did not let end: ledger, broker, store.", ["part"])


def place(destination: str) -> str:
    """A destination's label: what an operator knows it by, without path, query or credentials."""
    url = urlsplit(destination)
    if url.scheme.startswith("dicom") and "web" not in url.scheme:
        return f"{url.scheme}:{url.netloc.rpartition('@')[0] or url.hostname}@{url.hostname}"
    if url.scheme == "s3":
        return f"s3:{url.netloc}"
    if url.hostname:
        return f"{url.scheme}:{url.hostname}"
    return f"folder:{hashlib.sha256(destination.encode()).hexdigest()[:8]}"

"""``/metrics`` in Prometheus' text form: gauges of the ledger, and what the loop of this replica counted."""

from __future__ import annotations

import os

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from orchestrator.api.dependencies import FarmOf
from orchestrator.metrics.collector import FarmCollector
from orchestrator.metrics.folder import VARIABLE

router = APIRouter(tags=["metrics"])


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"example": 'cinefarm_backlog_seconds{queue="cpu"} 36000.0\n'}}}},
)
def metrics(request: Request, farm: FarmOf) -> Response:
    """All figures. Replicas share the ledger's gauges (take the maximum) and count their own orders (take the sum)."""
    state = request.app.state
    if not hasattr(state, "metrics"):
        state.metrics = _registry(farm)
    return Response(generate_latest(state.metrics), media_type=CONTENT_TYPE_LATEST)


def _registry(farm: FarmOf) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(FarmCollector(farm))
    if os.environ.get(VARIABLE):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry

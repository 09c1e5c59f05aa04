"""The application: API, web page, DICOMweb and metrics on one server. It holds no state but its farm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from common import __version__
from orchestrator.api import (
    decisions,
    destinations,
    errands,
    events,
    health,
    items,
    jobs,
    limits,
    trails,
    uploads,
    workers,
)
from orchestrator.api.access import Access
from orchestrator.api.event_hub import Hub
from orchestrator.api.guard import Guard
from orchestrator.api.problems import handle_problems
from orchestrator.api.recording import Recorder
from orchestrator.api.schema import describe
from orchestrator.api.token_book import TokenBook
from orchestrator.dicomweb import routes as dicomweb
from orchestrator.dicomweb.painter import Painter
from orchestrator.errands import Errands
from orchestrator.farm import Farm
from orchestrator.metrics import routes as metrics
from orchestrator.web import routes as web
from orchestrator.web.errors import ProblemPages

THREADS = 10
"""Requests at work at a time: as many as the pool of the ledger has connections. The others wait for milliseconds."""

ROUTERS = (
    health.router,
    jobs.router,
    items.router,
    trails.router,
    uploads.router,
    decisions.router,
    limits.router,
    events.router,
    workers.router,
    destinations.router,
    errands.router,
    metrics.router,
    dicomweb.router,
    web.router,
)


def create_app(farm: Farm, access: Access | None = None) -> FastAPI:
    """The application on a farm; ``access``: who may call, default as the settings say.

    Raises:
        PolicyError: the settings of access are wrong.
    """
    known = access or Access.of(farm.settings, book=TokenBook(farm.reading))
    app = FastAPI(
        title="Cinefarm",
        version=__version__,
        summary="Moves a hospital's video into conforming DICOM video, and proves that nothing was lost.",
        openapi_url="/api/openapi.json",
        docs_url="/api/docs",
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.farm, app.state.access, app.state.hub = farm, known, Hub(farm)
    app.state.errands = Errands(farm.ledger, farm.store)
    app.state.painter = Painter(farm.settings)
    handle_problems(app)
    for router in ROUTERS:
        app.include_router(router)
    describe(app)
    hosts = tuple(name.strip() for name in farm.settings.http_hosts.split(",") if name.strip())
    app.add_middleware(ProblemPages)
    app.add_middleware(
        Guard, access=known, recorder=Recorder(farm.ledger), hosts=hosts, per_minute=farm.settings.api_calls_per_minute
    )
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = THREADS
    try:
        yield
    finally:
        app.state.errands.close()
        app.state.painter.close()

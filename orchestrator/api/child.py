"""The HTTP server as a child of ``cinefarm serve``: many event streams and slow clients cost the dispatcher nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from common.settings import Settings
from orchestrator.supervised import Server, environment_of, supervised

END_SECONDS = 2.0
"""More than orchestrator.api.server.CLOSE_SECONDS; then it is killed, which costs nothing but open requests."""


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Run the API on ``http_port`` while the block lasts, started again when it dies; port 0: none.

    Raises:
        PolicyError: it says that a setting is wrong, or the port is taken.
        EnvironmentFault: it does not start.
    """
    if not settings.http_port:
        yield
        return
    server = Server(
        name="api",
        command=("api", "--state", str(settings.state_dir)),
        said="API on",
        address=settings.http_address,
        port=settings.http_port,
        end_seconds=END_SECONDS,
    )
    with supervised(server, settings, environment_of(settings)):
        yield

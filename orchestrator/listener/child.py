"""The listener as a child of ``cinefarm serve`` and ``cinefarm migrate``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from common.settings import Settings
from orchestrator.supervised import Server, environment_of, supervised


@contextmanager
def listening(settings: Settings, *, rules: bool = True) -> Iterator[None]:
    """Run a listener on ``listen_port`` while the block lasts, started again when it dies; port 0: none.

    ``rules``: with the rules file of the settings; else what arrives only waits for workers, or is kept.

    Raises:
        PolicyError: it says that a setting is wrong, or the port is taken.
        EnvironmentFault: it does not start.
    """
    if not settings.listen_port:
        yield
        return
    server = Server(
        name="listener",
        command=("listen", "--state", str(settings.state_dir)),
        said="listening",
        address=settings.listen_address,
        port=settings.listen_port,
        end_seconds=settings.drain_seconds + 2,  # what is being received has its time to arrive
    )
    environment = environment_of(settings)
    if not rules:
        environment.pop("CINEFARM_LISTEN_RULES", None)
    with supervised(server, settings, environment):
        yield

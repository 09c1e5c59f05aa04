"""Flower beside the farm: who works, what waits. It shows ids and queues; no order holds patient data (common/orders.py)."""

from __future__ import annotations

import ipaddress
import os
import sys
from dataclasses import dataclass
from typing import NoReturn

from common.broker_access import tls_options
from common.errors import PolicyError
from common.settings import Settings


@dataclass(frozen=True)
class Program:
    """A command line and what its environment has more. Passwords are in the environment: everybody can read arguments."""

    argv: tuple[str, ...]
    environment: dict[str, str]


def flower_program(settings: Settings) -> Program:
    """How Flower is started for these settings.

    It is read-only: stopping work is the orchestrator's business, and a task that Flower revoked would be sent again.

    Raises:
        PolicyError: others could reach it, and no password is set.
    """
    password = settings.flower_basic_auth
    if not password and not _is_loopback(settings.flower_address):
        raise PolicyError(
            "Flower must not be reachable from other machines without a password",
            hint="Set CINEFARM_FLOWER_BASIC_AUTH=name:password, or leave CINEFARM_FLOWER_ADDRESS at 127.0.0.1.",
        )
    options = (
        f"--address={settings.flower_address}",
        f"--port={settings.flower_port}",
        "--read_only=true",
        "--persistent=false",
        f"--max_tasks={MAX_TASKS}",
    )
    tls_options(settings)  # says what is wrong with them before Flower starts
    environment = {"CINEFARM_BROKER_URL": settings.broker_url}
    for name in ("broker_ca_file", "broker_cert_file", "broker_key_file"):
        if (path := getattr(settings, name)) is not None:
            environment[f"CINEFARM_{name.upper()}"] = str(path)
    if password:
        environment["FLOWER_BASIC_AUTH"] = password
    else:
        environment["FLOWER_UNAUTHENTICATED_API"] = "true"  # Flower's API is closed without a login or this word
    return Program((sys.executable, "-m", "celery", "-A", "common.monitor", "flower", *options), environment)


MAX_TASKS = 10_000
"""Tasks that Flower remembers: about 20 MB; the ledger knows all of them."""


def run_flower(settings: Settings) -> NoReturn:
    """Become Flower."""
    program = flower_program(settings)
    os.execve(program.argv[0], program.argv, os.environ | program.environment)  # noqa: S606 no shell is wanted


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False  # a name, or nothing at all: Flower then listens everywhere

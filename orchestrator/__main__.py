"""``python -m orchestrator``: the ``cinefarm`` command, for processes that start another one of us."""

from __future__ import annotations

from orchestrator.cli.main import run

if __name__ == "__main__":
    run()

"""Values that the orchestrator's tests share."""

from __future__ import annotations

from support.core import description  # noqa: F401 a fixture
from support.postgres import postgres  # noqa: F401 a fixture

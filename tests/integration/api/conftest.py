"""Values that the tests of the API share."""

from __future__ import annotations

from support.web_server import served  # noqa: F401 a fixture

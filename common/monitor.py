"""The app as Celery's own programs want it, by name: ``celery -A common.monitor flower``. Imported by them alone."""

from __future__ import annotations

from common.farm import make_app
from common.settings import Settings

app = make_app(Settings())

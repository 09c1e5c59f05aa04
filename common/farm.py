"""The one file that knows Celery: the app, its queues and its limits.

Celery and the broker are transport only. Orders are acknowledged early, so the broker never holds a running transcode and
its ``visibility_timeout`` can hand nothing out twice; recovery is the lease's business (``common.leases``).
"""

from __future__ import annotations

from celery import Celery
from kombu import Queue

from common import queues
from common.settings import Settings

VISIBILITY_TIMEOUT_SECONDS = 120
"""How long the broker waits before it restores a message that was fetched but never acknowledged. Orders are acknowledged
when a pool process accepts them and results when the ledger has them: both within seconds, so two minutes is generous."""


def make_app(settings: Settings, *, name: str = "cinefarm") -> Celery:
    """A configured Celery app; connects to nothing yet."""
    app = Celery(name, broker=settings.broker_url, set_as_current=True)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        task_default_queue=queues.CPU,
        task_queues=[Queue(queue) for queue in (*queues.WORK_QUEUES, queues.ORCHESTRATOR)],
        task_create_missing_queues=True,  # gpu.* queues come and go with the nodes
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,  # an order must not wait behind a long encode on one node while another is idle
        worker_hijack_root_logger=False,
        worker_send_task_events=True,  # Flower
        task_send_sent_event=True,
        broker_connection_retry_on_startup=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 15,
            "retry_on_timeout": True,
        },
        broker_connection_max_retries=None,
        enable_utc=True,
    )
    return app

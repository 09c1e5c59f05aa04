"""Queue and task names: the routing part of the wire contract."""

from __future__ import annotations

DESCRIBE = "describe"
CPU = "cpu"
DELIVER = "deliver"
ORCHESTRATOR = "orchestrator"
"""No queue of Celery's: the list of results, which workers write with their leases' ends (common.leases)."""
GPU_PREFIX = "gpu."
"""GPU queues are named by what the node can really encode with: gpu.nvenc, gpu.qsv, gpu.vaapi."""

WORK_QUEUES = (DESCRIBE, CPU, DELIVER)

TASK_OF_KIND = {
    "describe": "cinefarm.describe",
    "transcode": "cinefarm.transcode",
    "split": "cinefarm.split",
    "chunk": "cinefarm.chunk",
    "assemble": "cinefarm.assemble",
    "deliver": "cinefarm.deliver",
    "commit": "cinefarm.commit",
    "count": "cinefarm.count",
    "read": "cinefarm.read",
}
PROBE_TASK = "cinefarm.probe"
PROBE_PREFIX = "probe."
"""A worker's own queue, for the probe orders that it sends itself: ``probe.<worker>``."""

_DEVICES = ("nvenc", "qsv", "vaapi")
DEVICE_QUEUES = tuple(f"{GPU_PREFIX}{family}" for family in _DEVICES)


def of_encoder(encoder: str) -> str:
    """The queue of the workers that have this FFmpeg encoder: ``gpu.nvenc`` for h264_nvenc, ``cpu`` for libx264."""
    family = encoder.rpartition("_")[2]
    return f"{GPU_PREFIX}{family}" if family in _DEVICES else CPU

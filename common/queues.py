"""Queue and task names: the routing part of the wire contract."""

from __future__ import annotations

DESCRIBE = "describe"
CPU = "cpu"
DELIVER = "deliver"
ORCHESTRATOR = "orchestrator"
GPU_PREFIX = "gpu."
"""GPU queues are named by what the node can really encode with: gpu.nvenc, gpu.qsv, gpu.vaapi."""

WORK_QUEUES = (DESCRIBE, CPU, DELIVER)

TASK_OF_KIND = {"describe": "cinefarm.describe", "transcode": "cinefarm.transcode", "deliver": "cinefarm.deliver"}
RECORD_TASK = "cinefarm.record"

"""What a device made is looked at before the gate: a CPU encoder and decoder are right, a device's may not be."""

from __future__ import annotations

from common.conformance import check_stream
from common.errors import HardwareFailed
from common.media import Description
from common.orders import Plan, Pooled
from common.recipes import Gate
from workers.ffmpeg import device_decode
from workers.ffmpeg.encoders import on_device
from workers.quality import judge


def check_device(plan: Plan, output: Description, pooled: dict[str, Pooled], argv: tuple[str, ...]) -> None:
    """Refuse a device's stream that no gate should have to judge; ``argv`` made it. CPU recipes pass.

    Where the device also decoded, every single frame must reach what the gate asks of the first percentile: the hundredth
    frame that a percentile overlooks may be one that the decoder ruined.

    Raises:
        HardwareFailed: the stream breaks the transfer syntax, or a frame is not the source's.
    """
    recipe, gate = plan.recipe, plan.gate
    if recipe is None or gate is None or not on_device(recipe):
        return
    broken = [f for f in check_stream(output, plan.transfer_syntax_uid) if f.severity == "error"]
    if broken:
        raise HardwareFailed(
            f"{recipe.encoder} made {broken[0].found} where {broken[0].required} is required ({broken[0].clause})"
        )
    each = tuple(t.model_copy(update={"statistic": "min"}) for t in gate.thresholds if t.statistic == "p1")
    if device_decode.used(argv) and not (verdict := judge(pooled, Gate(thresholds=each))).passed:
        raise HardwareFailed(f"the device's decoder gave {recipe.encoder} a ruined frame: {verdict.misses[0]}")

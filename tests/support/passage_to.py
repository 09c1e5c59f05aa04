"""One file to one target in this process: describe → plan → transcode, as a farm would, without a farm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import pydicom
from pydicom.encaps import generate_fragments

from common.handling import Handling, Stereo
from common.media import Description
from common.orders import Finding, Plan, TranscodeDone, TranscodeOrder
from common.recipes import Audio
from common.settings import Settings
from common.store.folder import FolderStore
from common.targets import chosen_profile
from orchestrator.planner import plan
from orchestrator.work import instance_uid
from workers.attempt import Attempt
from workers.describe import describe_sandboxed
from workers.transcode import transcode

HEADER = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00100020": {"vr": "LO", "Value": ["P-1"]},
    "00080060": {"vr": "CS", "Value": ["ES"]},
}


@dataclass(frozen=True)
class Made:
    """What came out of one passage."""

    source: Description
    plan: Plan
    done: TranscodeDone
    instance: Path  # the DICOM file
    stream: Path  # its bitstream, container and all

    @property
    def findings(self) -> list[Finding]:
        """Of our own checker, warnings included."""
        return list(self.done.findings)

    @property
    def output(self) -> Description:
        """The bitstream, described like any source."""
        return describe_sandboxed(self.stream, self.stream.suffix, Settings())


def planned(
    source: Description,
    syntax: str | None = None,
    profile: str = "archive",
    accepts: Sequence[str] | None = None,
    frame_packing: Literal[3, 4] | None = None,
    audio: Audio = Audio.STRIP,
) -> Plan:
    """What a job with ``--syntax`` and ``--profile`` would do. ``frame_packing``: tag the source so."""
    views = {3: Stereo.SIDE_BY_SIDE, 4: Stereo.TOP_BOTTOM, None: Stereo.NONE}[frame_packing]
    wanted = chosen_profile(profile, syntax=syntax).model_copy(update={"handling": Handling(stereo=views)})
    return plan(source, wanted, audio=audio, modality="ES", destination_syntaxes=accepts)


def make(
    source: Path,
    folder: Path,
    syntax: str | None = None,
    *,
    profile: str = "archive",
    preset: str | None = None,
    frame_packing: Literal[3, 4] | None = None,
    sound: bool = False,
    keep_stream: Path | None = None,
) -> Made:
    """``source`` as a DICOM object below ``folder``. ``preset``: a quicker one than the recipe's. ``keep_stream``: where
    what FFmpeg wrote is kept, whether or not it passes the gate.

    Raises:
        NoLegalPath: the target does not hold the source.
        AssertionError: the gate was missed, or the conformance check found errors: nothing came out.
    """
    description = describe_sandboxed(source, source.suffix, Settings())
    chosen = planned(
        description, syntax, profile, frame_packing=frame_packing, audio=Audio.KEEP if sound else Audio.STRIP
    )
    chosen = quicker(chosen, preset) if preset else chosen
    done, store = carried_out(source, description, chosen, folder, keep_stream=keep_stream)
    instance = folder / "instance.dcm"
    instance.write_bytes(store.get(done.instance_key))
    return Made(description, chosen, done, instance, _stream(instance, folder))


def quicker(chosen: Plan, preset: str) -> Plan:
    """The plan with another preset, where its encoder has any."""
    if chosen.recipe is None or not chosen.recipe.preset:
        return chosen
    return chosen.model_copy(update={"recipe": chosen.recipe.model_copy(update={"preset": preset})})


def carried_out(
    source: Path, description: Description, chosen: Plan, folder: Path, *, keep_stream: Path | None = None
) -> tuple[TranscodeDone, FolderStore]:
    """What a worker makes of a plan, and the store that holds it. Raises: AssertionError: as ``make`` says."""
    header_key = None if description.dicom else "headers/h.json"
    store = FolderStore(folder / "store")
    store.put("headers/h.json", json.dumps(HEADER).encode())
    store.adopt("sources/one", source)
    order = TranscodeOrder(
        order_id="order",
        item_id="one",
        attempt=1,
        source_key="sources/one",
        description=description,
        plan=chosen,
        header_key=header_key,
        output_prefix=f"results/{description.digest}/work",
        sop_instance_uid=instance_uid(description, header_key, chosen),
        original_instance_uid=description.dicom.sop_instance_uid if description.dicom else "",
    )
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    done = transcode(order, store, scratch, Settings(), Attempt())
    if keep_stream is not None:
        (scratch / "output").replace(keep_stream)
    assert done.verdict.passed, done.verdict.misses
    errors = [finding for finding in done.findings if finding.severity == "error"]
    assert not errors, errors
    return done, store


def _stream(instance: Path, folder: Path) -> Path:
    """The fragments joined, as pydicom finds them, without the padding."""
    dataset = pydicom.dcmread(BytesIO(instance.read_bytes()))
    data = b"".join(generate_fragments(dataset.PixelData))[: dataset.EncapsulatedPixelDataValueTotalLength]
    path = folder / ("stream.ts" if data[:1] == b"G" else "stream.mp4")
    path.write_bytes(data)
    return path

"""One source through describe, plan and transcode in this process, and what came out, decoded by PyAV."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pydicom
from av.codec.context import Flags
from numpy.typing import NDArray
from pydicom.encaps import generate_fragments

from common.dicom.identifiers import Identifiers
from common.errors import InternalFault
from common.handling import Handling
from common.media import Description
from common.orders import Path as Way
from common.orders import Plan, TranscodeDone, TranscodeOrder
from common.recipes import ARCHIVE, Audio, Profile
from common.settings import Settings
from common.store.folder import FolderStore
from orchestrator.coercing import coerced, coercion
from orchestrator.ingest.identifiers import put_identifiers
from orchestrator.planner import plan
from orchestrator.work import instance_uid
from workers.attempt import Attempt
from workers.describe import describe_sandboxed
from workers.transcode import transcode

ROOT = "1.2.840.10008.1.2.4"
HEADER = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00100020": {"vr": "LO", "Value": ["P-1"]},
    "00080060": {"vr": "CS", "Value": ["ES"]},
}
KR_KB = {"bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593), "fcc": (0.30, 0.11), "smpte240m": (0.212, 0.087)}
"""ITU-T H.273 Table 4; everything else is BT.601."""


@dataclass(frozen=True)
class Result:
    """What came of a source."""

    source: Description
    plan: Plan
    done: TranscodeDone
    store: FolderStore

    @cached_property
    def instance(self) -> pydicom.FileDataset:
        """The DICOM object."""
        return pydicom.dcmread(BytesIO(self.store.get(self.done.instance_key)))

    @cached_property
    def evidence(self) -> dict[str, Any]:
        """What is on record."""
        return dict(json.loads(self.store.get(self.done.evidence_keys[0])))

    @cached_property
    def stream(self) -> bytes:
        """The video stream, with its container."""
        length = int.from_bytes(self.instance.EncapsulatedPixelDataValueTotalLength.to_bytes(8, "big"), "big")
        return b"".join(generate_fragments(self.instance.PixelData))[:length]

    @cached_property
    def frames(self) -> list[av.VideoFrame]:
        """The decoded pictures."""
        with av.open(BytesIO(self.stream)) as container:
            container.streams.video[0].codec_context.flags |= Flags.unaligned  # FFmpeg else rounds a crop
            return list(container.decode(video=0))

    def rgb(self, number: int = 0) -> NDArray[np.float64]:
        """A picture in RGB 0…255 by its own tags, computed here and not by FFmpeg."""
        return in_rgb(self.frames[number])

    @property
    def target(self) -> str:
        """``.102`` of the transfer syntax."""
        return self.done.transfer_syntax_uid.removeprefix(ROOT)


def in_rgb(frame: av.VideoFrame) -> NDArray[np.float64]:
    """Y'CbCr 4:2:0 of limited range, eight or ten bits, by the frame's tagged matrix (H.273 8.3); chroma is repeated."""
    bits = 10 if "10" in frame.format.name else 8
    planes = []
    for plane in frame.planes:
        kind = np.dtype("<u2") if bits > 8 else np.dtype(np.uint8)
        rows = np.frombuffer(plane, kind).reshape(plane.height, plane.line_size // kind.itemsize)
        planes.append(rows[:, : plane.width].astype(np.float64) / 2 ** (bits - 8))
    luma, cb, cr = (planes[0] - 16) / 219, (planes[1] - 128) / 224, (planes[2] - 128) / 224
    cb, cr = (np.repeat(np.repeat(part, 2, 0), 2, 1)[: luma.shape[0], : luma.shape[1]] for part in (cb, cr))
    from workers.describe_video import MATRICES

    red, blue = KR_KB.get(MATRICES.get(frame.colorspace) or "", (0.299, 0.114))
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, g, b], -1) * 255, 0, 255)


def passage(
    source: Path,
    folder: Path,
    *,
    handling: Handling | None = None,
    audio: Audio = Audio.STRIP,
    profile: Profile = ARCHIVE,
    syntaxes: tuple[str, ...] | None = None,
    rules: Identifiers | None = None,
) -> Result:
    """Describe, plan and transcode. ``syntaxes``: what the destination takes, ``.102`` for short; ``rules``: for identifiers."""
    settings = Settings()
    store = FolderStore(folder / "store")
    store.put("headers/h.json", json.dumps(HEADER).encode())
    store.adopt("sources/one", source)
    key = put_identifiers(rules, store)
    description = describe_sandboxed(source, source.suffix, settings, rules)
    profile = profile.model_copy(update={"handling": handling or Handling()})
    accepted = tuple(f"{ROOT}{short}" for short in syntaxes) if syntaxes else None
    chosen = plan(description, profile, audio=audio, modality="ES", destination_syntaxes=accepted)
    chosen = coerced(chosen, description, coercion(key, datetime(2026, 11, 23, 12, tzinfo=UTC)))
    header = None if description.dicom else "headers/h.json"
    order = TranscodeOrder(
        order_id="order",
        item_id="one",
        attempt=1,
        source_key="sources/one",
        description=description,
        plan=chosen,
        header_key=header,
        output_prefix=f"results/ab/{description.digest}/work",
        sop_instance_uid=instance_uid(description, header, chosen),
        original_instance_uid=description.dicom.sop_instance_uid if description.dicom else "",
    )
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    done = transcode(order, store, scratch, settings, Attempt())
    if not done.instance_key:
        raise InternalFault(
            f"nothing came out: {done.verdict.misses} {[f for f in done.findings if f.severity == 'error']}"
        )
    return Result(description, chosen, done, store)


def keeps(path: Way) -> bool:
    """True when nothing was decoded."""
    return path in (Way.KEEP, Way.REWRAP, Way.REAUDIO)

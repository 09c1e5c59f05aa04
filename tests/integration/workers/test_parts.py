"""A stream that is too large for one instance: cut at key frames into instances that play alone and name each other."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import av
import pydicom
import pytest
from pydicom.encaps import generate_fragments
from support.desk import ffmpeg

from common.media import Description
from common.orders import Path as Way
from common.orders import Plan, TranscodeDone, TranscodeOrder
from common.recipes import ARCHIVE, Audio
from common.settings import Settings
from common.store.folder import FolderStore
from orchestrator.acceptance import Acceptance
from orchestrator.planner import plan
from orchestrator.work import instance_uid, output_prefix
from workers.attempt import Attempt
from workers.describe import describe
from workers.transcode import transcode

HEADER = {
    "00100020": {"vr": "LO", "Value": ["P-1"]},
    "00080060": {"vr": "CS", "Value": ["ES"]},
    "00080023": {"vr": "DA", "Value": ["20240229"]},
    "00080033": {"vr": "TM", "Value": ["235959"]},
    "00200013": {"vr": "IS", "Value": ["7"]},
}
X264 = ("-c:v", "libx264", "-profile:v", "high", "-level:v", "4.1", "-g", "12", "-bf", "2", "-sc_threshold", "0")
OPEN = (*X264, "-x264-params", "open-gop=1:keyint=12:min-keyint=1")
MPEG2 = (
    "-c:v",
    "mpeg2video",
    "-profile:v",
    "main",
    "-g",
    "12",
    "-bf",
    "2",
    "-b:v",
    "3M",
    "-maxrate",
    "5M",
    "-bufsize",
    "1835008",
)
CLOSED = (*MPEG2, "-flags", "+cgop", "-sc_threshold", "1000000000")
SMALL, TELEVISION = "s=320x240:r=25", "s=352x288:r=25"


@dataclass(frozen=True)
class Made:
    """What came of one source."""

    source: Description
    plan: Plan
    done: TranscodeDone
    store: FolderStore
    folder: Path

    @cached_property
    def instances(self) -> list[pydicom.FileDataset]:
        return [pydicom.dcmread(io.BytesIO(self.store.get(part.instance_key))) for part in self.done.instances]

    @cached_property
    def streams(self) -> list[bytes]:
        return [
            b"".join(generate_fragments(one.PixelData))[: one.EncapsulatedPixelDataValueTotalLength]
            for one in self.instances
        ]

    @cached_property
    def evidence(self) -> dict[str, Any]:
        return dict(json.loads(self.store.get(self.done.evidence_keys[0])))


def clip(
    folder: Path, name: str, words: tuple[str, ...], *, scene: str = SMALL, seconds: int = 4, sound: bool = False
) -> Path:
    tone = ("-f", "lavfi", "-i", f"sine=r=48000:d={seconds}", "-c:a", "aac", "-ac", "2") if sound else ()
    picture = ("-f", "lavfi", "-i", f"testsrc2={scene}:d={seconds},format=yuv420p")
    ffmpeg(*picture, *tone[:4], *words, *tone[4:], str(folder / name))
    return folder / name


def brought(
    folder: Path, source: Path, share: Fraction = Fraction(2, 5), *, audio: Audio = Audio.STRIP, syntax: str = ""
) -> Made:
    """A source brought to a destination that takes instances of a share of its size."""
    description = describe(source, source.suffix)
    syntaxes = frozenset({f"1.2.840.10008.1.2.4{syntax}"}) if syntax else None
    limit = int(description.size_bytes * share)
    chosen = plan(description, ARCHIVE, [Acceptance(max_bytes=limit, syntaxes=syntaxes)], audio=audio, modality="ES")
    store = FolderStore(folder / "store")
    store.put("headers/h.json", json.dumps(HEADER).encode())
    store.adopt("sources/one", source)
    header = None if description.dicom else "headers/h.json"
    order = TranscodeOrder(
        order_id="order",
        item_id="one",
        attempt=1,
        source_key="sources/one",
        description=description,
        plan=chosen,
        header_key=header,
        output_prefix=output_prefix(description.digest, header, chosen),
        sop_instance_uid=instance_uid(description, header, chosen),
        original_instance_uid=description.dicom.sop_instance_uid if description.dicom else "",
    )
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    done = transcode(order, store, scratch, Settings(), Attempt())
    assert done.instance_key, (done.verdict, done.findings)
    assert {path.name for path in scratch.iterdir()} <= {"output", "scores.npz"}
    return Made(description, chosen, done, store, folder)


def pictures(stream: bytes | Path) -> list[bytes]:
    with av.open(io.BytesIO(stream) if isinstance(stream, bytes) else str(stream)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


SOURCES = {
    "closed.mp4": (X264, SMALL),
    "closed.ts": (X264, SMALL),
    "tape.mpg": (CLOSED, TELEVISION),
    "hevc.mp4": (("-c:v", "libx265", "-x265-params", "log-level=none:open-gop=0:keyint=12:min-keyint=1"), SMALL),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_rewrapped_stream_is_cut_into_parts_that_play_alone_and_lose_no_picture(tmp_path: Path, name: str) -> None:
    words, scene = SOURCES[name]
    source = clip(tmp_path, name, words, scene=scene)
    made = brought(tmp_path, source)
    assert made.plan.path is Way.REWRAP
    assert len(made.done.parts) >= 3
    assert made.plan.split is not None
    assert all(part.instance_bytes <= made.plan.split.limit_bytes for part in made.done.parts)
    assert sum((pictures(stream) for stream in made.streams), []) == pictures(source)
    counts = [part.frames for part in made.done.parts]
    assert [part.first_frame for part in made.done.parts] == [0, *accumulate(counts)][:-1]
    assert [int(one.NumberOfFrames) for one in made.instances] == counts
    assert sum(counts) == 100

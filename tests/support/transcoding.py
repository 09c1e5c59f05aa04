"""A store, a scratch folder and transcode orders for files, as a worker gets them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.encaps import generate_fragments

from common.media import Description
from common.orders import Path as Way
from common.orders import TranscodeDone, TranscodeOrder
from common.recipes import ARCHIVE, Audio, Profile
from common.settings import Settings
from common.store.folder import FolderStore
from orchestrator.planner import plan
from workers.attempt import Attempt
from workers.describe import describe_sandboxed
from workers.transcode import transcode

HEADER = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00100020": {"vr": "LO", "Value": ["P-1"]},
    "00080060": {"vr": "CS", "Value": ["ES"]},
}


@dataclass
class Bench:
    """A store, a scratch folder and orders for files."""

    folder: Path
    profile: Profile = ARCHIVE
    orders: int = 0
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        self.store = FolderStore(self.folder / "store")
        self.store.put("headers/h.json", json.dumps(HEADER).encode())

    def describe(self, source: Path) -> Description:
        return describe_sandboxed(source, source.suffix, self.settings)

    def order(
        self, source: Path, description: Description | None = None, *, audio: Audio = Audio.STRIP
    ) -> TranscodeOrder:
        description = description or self.describe(source)
        self.orders += 1
        chosen = plan(description, self.profile, audio=audio, modality="ES")
        self.store.adopt("sources/one", source)
        kept = description.dicom is not None and chosen.path is Way.KEEP
        return TranscodeOrder(
            order_id=f"order{self.orders}",
            item_id="one",
            attempt=1,
            source_key="sources/one",
            description=description,
            plan=chosen,
            header_key=None if description.dicom else "headers/h.json",
            output_prefix=f"results/ab/{description.digest}/work",
            sop_instance_uid=description.dicom.sop_instance_uid if kept and description.dicom else "2.25.4711",
            original_instance_uid=description.dicom.sop_instance_uid if description.dicom else "",
        )

    def run(self, order: TranscodeOrder, attempt: Attempt | None = None) -> TranscodeDone:
        scratch = self.folder / "scratch" / order.order_id
        scratch.mkdir(parents=True)
        return transcode(order, self.store, scratch, self.settings, attempt or Attempt())

    def evidence(self, done: TranscodeDone) -> Any:
        return json.loads(self.store.get(done.evidence_keys[0]))

    def stream(self, done: TranscodeDone) -> bytes:
        """The video bitstream of a made instance."""
        return b"".join(generate_fragments(self.instance(done).PixelData))

    def instance(self, done: TranscodeDone) -> pydicom.FileDataset:
        return pydicom.dcmread(BytesIO(self.store.get(done.instance_key)))

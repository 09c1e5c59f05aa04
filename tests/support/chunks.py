"""A hall of chunk workers: splits, encodes and joins real clips on one machine."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import imageio_ffmpeg

from common.media import Description
from common.orders import AssembleOrder, ChunkDone, ChunkOrder, ChunkRef, Plan, SplitDone, SplitOrder, TranscodeOrder
from common.orders import Path as Way
from common.recipes import ARCHIVE, Audio, Search
from common.settings import Settings
from common.store.folder import FolderStore
from workers.assemble import join_of
from workers.attempt import Attempt
from workers.chunks import find_cuts, make_chunk
from workers.describe import describe_sandboxed
from workers.join import join

HEADER = {"00100020": {"vr": "LO", "Value": ["4711"]}}
NOISE = "testsrc2=s=160x120:r=25:d=6,noise=alls=8:allf=t:all_seed=5,format=yuv420p"


def ffmpeg(*words: object, cwd: Path | None = None) -> bytes:
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-y", "-v", "error", *map(str, words)]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, cwd=cwd).stdout


def frames(path: Path, *filters: str) -> list[str]:
    """MD5 of every decoded frame, in display order."""
    chain = ("-vf", ",".join(filters)) if filters else ()
    text = ffmpeg("-i", path, "-map", "0:V", *chain, "-fps_mode", "passthrough", "-f", "framemd5", "-").decode()
    return [line.rpartition(",")[2].strip() for line in text.splitlines() if not line.startswith("#")]


@dataclass
class Hall:
    """Splits, encodes and joins on one machine, as workers would."""

    folder: Path
    settings: Settings = field(default_factory=Settings)
    crf: int = 18

    def __post_init__(self) -> None:
        self.store = FolderStore(self.folder / "store")
        self.store.put("headers/h.json", json.dumps(HEADER).encode())
        self.scratch = self.folder / "scratch"
        self.scratch.mkdir(exist_ok=True)

    def describe(self, source: Path) -> Description:
        self.store.adopt("sources/one", source)
        return describe_sandboxed(source, source.suffix, self.settings)

    def plan(self, crf: int | None = None, audio: Audio = Audio.STRIP, search: Search | None = None) -> Plan:
        changes = {"crf": crf or self.crf, "threads": 1, "search": search}
        recipe = ARCHIVE.ladder[0].model_copy(update=changes)
        return Plan(
            path=Way.ENCODE,
            reason="a test",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.1.1",
            transfer_syntax_uid=recipe.transfer_syntax_uid,
            recipe=recipe,
            gate=ARCHIVE.gate,
            audio=audio,
        )

    def split(self, description: Description, wanted: int = 3, plan: Plan | None = None) -> SplitDone:
        order = SplitOrder(
            order_id="s",
            item_id="one",
            attempt=1,
            source_key="sources/one",
            description=description,
            wanted=wanted,
            plan=plan,
        )
        return find_cuts(order, self.store, self.scratch, self.settings, Attempt())

    def chunk(
        self,
        description: Description,
        cut: SplitDone,
        number: int,
        crf: int | None = None,
        search: Search | None = None,
    ) -> ChunkDone:
        order = ChunkOrder(
            order_id=f"c{number}",
            item_id="one",
            attempt=1,
            source_key="sources/one",
            description=description,
            plan=self.plan(crf, search=search),
            part=cut.parts[number],
            timeline=cut.timeline,
            output_prefix=f"chunks/{number}-{crf or self.crf}",
        )
        return make_chunk(order, self.store, self.scratch, self.settings, Attempt())

    def order(
        self, description: Description, cut: SplitDone, made: list[ChunkDone], audio: Audio = Audio.STRIP
    ) -> AssembleOrder:
        refs = tuple(
            ChunkRef(part=part, output_prefix=done.output_prefix, rung=0, worker=f"node:{number}")
            for number, (part, done) in enumerate(zip(cut.parts, made, strict=True))
        )
        work = TranscodeOrder(
            order_id="a",
            item_id="one",
            attempt=1,
            source_key="sources/one",
            description=description,
            plan=self.plan(audio=audio),
            header_key="headers/h.json",
            output_prefix="results/ab/one",
            sop_instance_uid="2.25.4711",
        )
        return AssembleOrder(order_id="a", item_id="one", attempt=1, transcode=work, timeline=cut.timeline, chunks=refs)

    def joined(self, order: AssembleOrder, sound: Path | None = None) -> Path:
        output = self.folder / "joined.mp4"
        join(self.store, join_of(order, order.transcode.plan, order.transcode.description, sound), output)
        return output

    def all(self, source: Path, wanted: int = 3) -> tuple[Description, SplitDone, list[ChunkDone]]:
        description = self.describe(source)
        cut = self.split(description, wanted)
        return description, cut, [self.chunk(description, cut, number) for number in range(len(cut.parts))]


def make(path: Path, *codec: object, graph: str = NOISE) -> Path:
    ffmpeg("-f", "lavfi", "-i", graph, *codec, path)
    return path


X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", 12)
SOURCES = {
    "closed.mp4": (*X264, "-g", 20, "-bf", 2),
    "open.mkv": (*X264, "-g", 20, "-bf", 3, "-x264-params", "open-gop=1:scenecut=0"),
    "open.ts": (*X264, "-g", 20, "-bf", 3, "-x264-params", "open-gop=1:scenecut=0"),
    "mpeg2.ts": ("-c:v", "mpeg2video", "-q:v", 2, "-g", 12, "-bf", 2),
    "hevc.mp4": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=20:open-gop=1"),
}

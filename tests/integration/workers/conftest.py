"""A studio: small clips made by FFmpeg, described by hand, encoded for real."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from common.media import AudioStream, Description, Kind, VideoStream
from common.orders import Path as Way
from common.orders import Plan
from common.recipes import ARCHIVE, Audio, Recipe
from common.settings import Settings
from workers import encode
from workers.sources import MediaInput

SIZE = (160, 120)


def recipe(**changes: object) -> Recipe:
    return ARCHIVE.ladder[0].model_copy(update=changes)


@dataclass(frozen=True)
class Clip:
    """A source, as describe and sources would hand it on."""

    media: MediaInput
    description: Description


@dataclass
class Studio:
    """Makes clips and runs them through the encoder."""

    folder: Path
    settings: Settings = field(default_factory=Settings)

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    def ffmpeg(self, *words: object, feed: bytes | None = None) -> bytes:
        argv = [encode.ffmpeg_program(), "-hide_banner", "-loglevel", "error", "-y", *map(str, words)]
        return subprocess.run(argv, input=feed, stdout=subprocess.PIPE, check=True).stdout

    def make(self, name: str, graph: str, *words: object) -> Path:
        """A file from a lavfi graph; ``words`` are output options."""
        path = self.folder / name
        self.ffmpeg("-f", "lavfi", "-i", graph, *words, path)
        return path

    def moving(self, graph: str = "testsrc2=s=160x120:r=25:d=1,format=yuv420p") -> Clip:
        """A small moving picture."""
        return self.file(self.make("source.mp4", graph, "-c:v", "libx264", "-preset", "ultrafast", "-qp", 10))

    def file(
        self, path: Path, *, audio: tuple[AudioStream, ...] = (), count: int | None = None, **changes: object
    ) -> Clip:
        """A plain media file, read by FFmpeg itself."""
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = sum(1 for packet in container.demux(stream) if packet.size)
            context = stream.codec_context
            facts: dict[str, object] = {
                "codec": context.name,
                "width": context.width,
                "height": context.height,
                "pixel_format": context.pix_fmt,
                "frame_rate": stream.average_rate,
                "full_range": {1: False, 2: True}.get(int(context.color_range)),
                "frame_count": frames if count is None else count,
                "duration_ms": 1000.0 * frames / float(stream.average_rate or 1),
            }
        return self.clip(("-i", str(path)), None, facts | changes, audio, path.stat().st_size, path.suffix[1:])

    def raw(
        self, frames: NDArray[np.uint8], pixel_format: str, rate: Fraction = Fraction(25), **changes: object
    ) -> Clip:
        """Frames fed as raw video: rows × columns (× samples) each."""
        height, width = frames.shape[1:3]
        args = ("-f", "rawvideo", "-pix_fmt", pixel_format, "-s", f"{width}x{height}", "-r", str(rate), "-i", "pipe:0")

        def feed(stream: BinaryIO) -> None:
            for frame in frames:
                stream.write(frame.tobytes())

        facts: dict[str, object] = {
            "codec": "rawvideo",
            "width": width,
            "height": height,
            "pixel_format": pixel_format,
            "frame_rate": rate,
            "frame_count": len(frames),
            "duration_ms": 1000.0 * len(frames) / float(rate),
        }
        return self.clip(args, feed, facts | changes, (), frames.nbytes, "frames")

    def clip(
        self,
        args: tuple[str, ...],
        feed: Callable[[BinaryIO], None] | None,
        facts: dict[str, object],
        audio: tuple[AudioStream, ...],
        size: int,
        container: str,
    ) -> Clip:
        video = VideoStream.model_validate(facts)
        media = MediaInput(
            args=args,
            feed=feed,
            width=video.width,
            height=video.height,
            frame_count=video.frame_count,
            frame_rate=video.frame_rate,
            pixel_format=video.pixel_format,
            full_range=video.full_range,
            matrix=video.matrix,
            seekable=feed is None,
        )
        kind = Kind.DICOM_FRAMES if feed else Kind.VIDEO
        return Clip(
            media,
            Description(kind=kind, digest="0" * 64, size_bytes=size, container=container, video=video, audio=audio),
        )

    def plan(self, way: Way = Way.ENCODE, audio: Audio = Audio.STRIP, **changes: object) -> Plan:
        return Plan(
            path=way,
            reason="a test",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.1.1",
            transfer_syntax_uid="1.2.840.10008.1.2.4.102",
            recipe=recipe(**changes) if way is Way.ENCODE else None,
            audio=audio,
        )

    def encode(
        self,
        clip: Clip,
        *,
        audio: Audio = Audio.STRIP,
        name: str = "out.mp4",
        cancelled: Callable[[], bool] | None = None,
        **changes: object,
    ) -> encode.Encoded:
        return encode.encode(
            clip.media,
            clip.description,
            self.plan(audio=audio, **changes),
            self.folder / name,
            self.scratch,
            settings=self.settings,
            cancelled=cancelled,
        )

    def rewrap(
        self, clip: Clip, way: Way = Way.REWRAP, audio: Audio = Audio.STRIP, name: str = "out"
    ) -> encode.Wrapped:
        return encode.rewrap(
            clip.media,
            clip.description,
            self.plan(way, audio),
            self.folder / name,
            self.scratch,
            settings=self.settings,
        )

    def rgb(self, path: Path, width: int, height: int, *filters: str) -> NDArray[np.float64]:
        """Frames as RGB by the tags of the stream; where chroma lies FFmpeg must be told (H.264 E.2.1: left)."""
        scale = "scale=in_chroma_loc=left:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,format=rgb24"
        data = self.ffmpeg("-i", path, "-vf", ",".join((*filters, scale)), "-f", "rawvideo", "-")
        return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3).astype(np.float64)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    (tmp_path / "scratch").mkdir()
    return Studio(tmp_path)

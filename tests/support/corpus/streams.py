"""Small coded clips, made by FFmpeg alone and named by what was asked for; each is made once and shared by many cases."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from common.ffmpeg import ffmpeg_program

Edit = Callable[[bytes], bytes]

ENCODERS: dict[str, str] = {
    # 8x8dct and cabac make ultrafast code High profile; without them x264 writes a lesser one
    "h264": "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -x264-params 8x8dct=1:cabac=1 -level:v 4.1",
    "hevc": "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=error:level-idc=5.1:high-tier=0 -tag:v hvc1",
    "main10": "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params log-level=error:level-idc=5.1:high-tier=0 -tag:v hvc1",
    "mpeg2": "-c:v mpeg2video -pix_fmt yuv420p -profile:v main -level:v main -b:v 2M -maxrate 4M -bufsize 1835008",
    "mpeg2-high": "-c:v mpeg2video -pix_fmt yuv420p -profile:v main -level:v high -b:v 8M -maxrate 15M -bufsize 1835008",
}
"""What makes a legal stream; a clip's own options come behind and win."""

MUXERS = {"mp4": "-f mp4 -movflags +faststart", "ts": "-f mpegts", "es": "-f {codec}"}


@dataclass(frozen=True)
class Stream:
    """One clip: what FFmpeg is asked for, and so what a header must say of it. Size in pixels, rate in frames/s."""

    encoder: str
    size: tuple[int, int] = (160, 120)
    rate: str = "25"
    frames: int = 10
    options: str = ""
    muxer: str = "mp4"
    sound: str = ""  # encoder options of a tone of 48 kHz; empty: none
    inputs: str = ""  # options of the picture's input, and further inputs
    source: Stream | None = None  # copied, not encoded: the options are those of the copy
    joined: tuple[Stream, ...] = ()  # these, one behind the other, and nothing of its own
    edit: Edit | None = None  # what no program would write

    def but(self, **changes: object) -> Stream:
        """The same with other values."""
        return replace(self, **changes)

    @property
    def seconds(self) -> float:
        return float(self.frames / Fraction(self.rate))

    def arguments(self, source: Path | None) -> list[str]:
        """FFmpeg's, without the output's path."""
        picture = ["-f", "lavfi", "-i", f"testsrc2=size={self.size[0]}x{self.size[1]}:rate={self.rate}"]
        if source:
            picture = ["-i", str(source)]
        tone = (
            ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={self.seconds}"] if self.sound else []
        )
        coding = "-c copy" if source else ENCODERS[self.encoder]
        muxing = MUXERS.get(self.muxer, self.muxer).format(codec="hevc" if self.encoder == "main10" else self.encoder)
        limit = [] if source else ["-frames:v", str(self.frames)]
        return [
            *self.inputs.split(),
            *picture,
            *tone,
            *coding.split(),
            *limit,
            *muxing.split(),
            *self.options.split(),
            *self.sound.split(),
        ]


class Workshop:
    """Makes streams into a folder, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[Stream, Path] = {}

    def path(self, stream: Stream) -> Path:
        """The clip as a file."""
        if stream not in self._made:
            self._made[stream] = self._make(stream)
        return self._made[stream]

    def bytes(self, stream: Stream) -> bytes:
        """The clip as it goes into Pixel Data."""
        return self.path(stream).read_bytes()

    def _make(self, stream: Stream) -> Path:
        path = self._folder / hashlib.sha256(repr(stream).encode()).hexdigest()[:16]
        if stream.joined:
            path.write_bytes(b"".join(map(self.bytes, stream.joined)))
        else:
            self._code(stream, path)
        if stream.edit:
            path.write_bytes(stream.edit(path.read_bytes()))
        return path

    def _code(self, stream: Stream, path: Path) -> None:
        source = self.path(stream.source) if stream.source else None
        argv = [ffmpeg_program(), "-v", "error", "-y", "-bitexact", *stream.arguments(source), str(path)]
        finished = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120)
        if finished.returncode:
            raise RuntimeError(f"FFmpeg: {' '.join(argv)}\n{finished.stderr}")


def ffmpeg_version() -> str:
    """As its first line says."""
    finished = subprocess.run([ffmpeg_program(), "-version"], check=True, capture_output=True, text=True)
    return finished.stdout.split()[2]

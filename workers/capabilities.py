"""What this machine can really do: every hardware codec of this FFmpeg is tried, none is believed by its name.

An encoder is there when it encodes one second of moving picture without an error. A decoder is there when its pictures
equal the software decoder's to the bit (H.264 and HEVC decoding is exact), since corrupt hardware decoding goes unnoticed
otherwise. So a GPU with NVDEC and no NVENC (A100, H100, H200) is seen as what it is: it decodes, and serves no GPU queue.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from common import queues
from common.errors import CinefarmError, ProgramFailed
from common.ffmpeg import ffmpeg_program
from common.logs import logger
from common.process import Limits, run
from common.settings import Settings

log = logger(__name__)

SOFTWARE = ("libx264", "libx265", "mpeg2video")
HARDWARE = tuple(f"{codec}_{family}" for family in ("nvenc", "qsv", "vaapi") for codec in ("h264", "hevc"))
DECODERS = tuple(f"{codec}_{family}" for family in ("cuvid", "qsv", "vaapi") for codec in ("h264", "hevc"))

# no limit on memory: CUDA reserves address space for every GPU of the machine, far beyond any useful limit
_LIMITS = Limits(seconds=20.0)  # the first use of a GPU may load its driver
_AT_ONCE = 4
_SCENE = "testsrc2=size=512x288:rate=25:duration=1"
_FRAMES = 25
_PREFIX = re.compile(r"^(\[[^\]]*\]\s*)+")
_CAUSES = (  # lines that name the cause; the first line of a transcript may be a symptom
    "Cannot load lib",
    "CUDA_ERROR",
    "No capable devices found",
    "Driver does not support",
    "Error creating a MFX session",
    "No VA display found",
    "failed to open",
    "Unknown encoder",
    "Unknown decoder",
)


@dataclass(frozen=True)
class Trial:
    """One codec that was tried; ``reason``: why it is not there, in FFmpeg's words."""

    name: str
    works: bool
    reason: str = ""


@dataclass(frozen=True)
class Listed:
    """What FFmpeg was built with: its version, and those of SOFTWARE, HARDWARE and libvmaf that are compiled in."""

    ffmpeg: str
    names: frozenset[str]


@dataclass(frozen=True)
class Capabilities:
    """What a node can do."""

    built: Listed
    encoders: tuple[Trial, ...] = ()
    decoders: tuple[Trial, ...] = ()

    @property
    def working_encoders(self) -> tuple[str, ...]:
        """Names of encoders that orders may ask for."""
        return (*(name for name in SOFTWARE if name in self.built.names), *_working(self.encoders))

    @property
    def working_decoders(self) -> tuple[str, ...]:
        """Names of hardware decoders that gave the right pictures."""
        return _working(self.decoders)

    @property
    def served(self) -> tuple[str, ...]:
        """The queues that this node can serve."""
        gpu = dict.fromkeys(queues.of_encoder(name) for name in _working(self.encoders))
        return (*queues.WORK_QUEUES, *gpu)

    def why_not(self, queue: str) -> str:
        """Why this node cannot serve a queue, in FFmpeg's words for the last encoder tried; empty: it can."""
        if queue in self.served:
            return ""
        tried = [trial.reason for trial in self.encoders if queues.of_encoder(trial.name) == queue]
        return tried[-1] if tried else "FFmpeg was built without its encoders"


def _working(trials: Sequence[Trial]) -> tuple[str, ...]:
    return tuple(trial.name for trial in trials if trial.works)


def cause(transcript: str) -> str:
    """The one line of FFmpeg's last words that says what is missing, without addresses. Pure."""
    lines = [_PREFIX.sub("", line).strip().rstrip(".") for line in transcript.splitlines() if line.strip()]
    telling = (line for line in lines if any(words in line for words in _CAUSES))
    return next(telling, lines[0] if lines else "FFmpeg gave no reason")


def parse_version(lines: Sequence[str]) -> str:
    """The version word of ``ffmpeg -version``; empty when there is none. Pure."""
    words = lines[0].split() if lines else []
    return words[2] if words[:2] == ["ffmpeg", "version"] and len(words) > 2 else ""


def parse_listed(lines: Sequence[str]) -> frozenset[str]:
    """Names in the second column of ``ffmpeg -encoders`` or ``-filters``. Pure."""
    return frozenset(words[1] for words in map(str.split, lines) if len(words) > 2)


def encode_trial(name: str, render_node: str) -> list[str]:
    """FFmpeg's arguments for a one-second test encode. Pure."""
    device, upload = _device(name, render_node)
    scene = ["-f", "lavfi", "-i", _SCENE, "-vf", upload]
    return ["-xerror", *device, *scene, "-c:v", name, "-progress", "pipe:1", "-f", "null", "-"]


def _device(name: str, render_node: str) -> tuple[list[str], str]:
    if name.endswith("_vaapi"):
        return ["-vaapi_device", render_node], "format=nv12,hwupload"
    return [], "format=nv12" if name.endswith("_qsv") else "format=yuv420p"


def decode_trial(name: str, sample: Path, render_node: str) -> list[str]:
    """FFmpeg's arguments to decode a sample by hardware into checksums of its pictures. Pure."""
    codec, family = name.split("_")
    if (
        family == "vaapi"
    ):  # an accelerator of the software decoder, which goes on alone when it fails: hwdownload does not
        form = ["-hwaccel", "vaapi", "-hwaccel_device", render_node, "-hwaccel_output_format", "vaapi"]
        return ["-xerror", *form, "-i", str(sample), "-vf", "hwdownload,format=nv12,format=yuv420p", *_CHECKSUMS]
    del codec
    return ["-xerror", "-c:v", name, "-i", str(sample), "-vf", "format=yuv420p", *_CHECKSUMS]


_CHECKSUMS = ("-fps_mode", "passthrough", "-f", "framemd5", "pipe:1")
_SAMPLES = {"h264": "libx264", "hevc": "libx265"}


def checksums(lines: Sequence[str]) -> tuple[str, ...]:
    """The MD5 of each picture in ``framemd5`` output, without its time stamps. Pure."""
    return tuple(line.rpartition(",")[2].strip() for line in lines if line and not line.startswith("#"))


def listed() -> Listed:
    """Ask FFmpeg itself.

    Raises:
        ProgramMissing, ProgramFailed: it cannot be run.
    """
    wanted = {*SOFTWARE, *HARDWARE, "libvmaf"}
    names = parse_listed(ffmpeg("-encoders")) | parse_listed(ffmpeg("-filters"))
    return Listed(parse_version(ffmpeg("-version")), names & wanted)


def probe(settings: Settings) -> Capabilities:
    """Try everything, a few at a time; without a GPU it takes about a second. What was found is kept until the next boot.

    Raises:
        ProgramMissing, ProgramFailed: FFmpeg itself cannot be run.
    """
    built = listed()
    kept, key = settings.state_dir / "capabilities.json", _key(built, settings)
    if (known := _remembered(kept, key, built)) is not None:
        return known
    found = _probe(built, settings)
    for trial in (*found.encoders, *found.decoders):
        log.info("codec_tried", name=trial.name, works=trial.works, reason=trial.reason)
    _remember(kept, key, found)
    return found


def ffmpeg(*arguments: str) -> list[str]:
    """The lines that FFmpeg writes to its standard output.

    Raises:
        ProgramFailed, ResourceLimit, ProgramMissing: see common.process.run.
    """
    lines: list[str] = []
    argv = [ffmpeg_program(), "-hide_banner", "-nostdin", "-loglevel", "error", *arguments]
    run(argv, name="ffmpeg", limits=_LIMITS, on_line=lines.append)
    return lines


def _probe(built: Listed, settings: Settings) -> Capabilities:
    with ThreadPoolExecutor(_AT_ONCE) as pool, tempfile.TemporaryDirectory(prefix="cinefarm-probe-") as folder:
        candidates = [name for name in HARDWARE if name in built.names]
        encoders = tuple(pool.map(partial(_try_encoder, settings=settings), candidates))
        truth = {codec: _sample(codec, Path(folder)) for codec, name in _SAMPLES.items() if name in built.names}
        names = [name for name in DECODERS if name.split("_")[0] in truth]
        decoders = tuple(pool.map(lambda name: _try_decoder(name, *truth[name.split("_")[0]], settings), names))
    return Capabilities(built, encoders, decoders)


def _try_encoder(name: str, settings: Settings) -> Trial:
    try:
        progress = ffmpeg(*encode_trial(name, settings.render_node))
    except CinefarmError as error:
        return _absent(name, error, settings)
    frames = [line.partition("=")[2] for line in progress if line.startswith("frame=")]
    if frames[-1:] != [str(_FRAMES)]:
        return Trial(name, False, f"{frames[-1] if frames else 0} of {_FRAMES} frames were encoded")
    return Trial(name, True)


def _try_decoder(name: str, sample: Path, truth: tuple[str, ...], settings: Settings) -> Trial:
    try:
        pictures = checksums(ffmpeg(*decode_trial(name, sample, settings.render_node)))
    except CinefarmError as error:
        return _absent(name, error, settings)
    return (
        Trial(name, True)
        if pictures == truth
        else Trial(name, False, "its pictures differ from the software decoder's")
    )


def _absent(name: str, error: CinefarmError, settings: Settings) -> Trial:
    reason = cause(error.stderr_tail) if isinstance(error, ProgramFailed) else error.message
    # paths are taken out of a program's last words (common.process); this one is no source's
    return Trial(name, False, reason.replace("<file>", settings.render_node) if name.endswith("_vaapi") else reason)


def _sample(codec: str, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """A short elementary stream with B pictures, and the checksums of its pictures as software decodes them."""
    path = folder / f"sample.{codec}"
    scene = ["-f", "lavfi", "-i", "testsrc2=size=256x144:rate=25:duration=0.4", "-pix_fmt", "yuv420p"]
    ffmpeg(*scene, "-c:v", _SAMPLES[codec], "-preset", "veryfast", "-f", codec, str(path))
    return path, checksums(ffmpeg("-i", str(path), "-vf", "format=yuv420p", *_CHECKSUMS))


def _key(built: Listed, settings: Settings) -> str:
    """A new boot may bring a new driver, a new FFmpeg other codecs, a container other devices."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    devices = [path.name for pattern in ("dri/renderD*", "nvidia*") for path in sorted(Path("/dev").glob(pattern))]
    return json.dumps([boot, built.ffmpeg, sorted(built.names), ffmpeg_program(), settings.render_node, devices])


def _remembered(path: Path, key: str, built: Listed) -> Capabilities | None:
    try:
        kept = json.loads(path.read_text())
        if kept["key"] != key:
            return None
        return Capabilities(
            built, *(tuple(Trial(**trial) for trial in kept[side]) for side in ("encoders", "decoders"))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(path: Path, key: str, found: Capabilities) -> None:
    aside = path.with_suffix(f".{os.getpid()}")  # several workers of one machine may look at once
    trials = {"encoders": [asdict(trial) for trial in found.encoders], "decoders": [asdict(t) for t in found.decoders]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps({"key": key, **trials}))
        aside.replace(path)
    except OSError as error:  # a read-only state directory costs a second at every start, no more
        log.warning("capabilities_not_kept", error=type(error).__name__)

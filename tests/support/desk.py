"""A user's desk: a folder of made sources, and the ``cinefarm`` command run as a program."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import psutil
from pydicom.data import get_testdata_file

CAMERA = ("-c:v", "libx264", "-profile:v", "high", "-level:v", "4.1", "-g", "25", "-pix_fmt", "yuv420p", "-an")
COLOUR = ("-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")


def ffmpeg(*words: str) -> None:
    """Run FFmpeg to its end."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([program, "-nostdin", "-y", "-v", "error", *words], check=True)


def _heed_ctrl_c() -> None:
    # tests that run in the background of a shell inherit that SIGINT is ignored
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Run:
    """One finished command."""

    code: int
    lines: list[dict[str, Any]]
    stderr: str

    @property
    def items(self) -> dict[str, dict[str, Any]]:
        """Items by the name of their source."""
        return {line["name"]: line for line in self.lines if line["type"] == "item"}

    @property
    def summary(self) -> dict[str, Any]:
        """The last line."""
        return self.lines[-1]


@dataclass
class Desk:
    """Sources, a destination, a state folder and the command."""

    folder: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def sources(self) -> Path:
        return self.folder / "sources"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def file(self, name: str) -> Path:
        path = self.sources / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def camera(self, name: str, *, seconds: float = 1, size: str = "320x240", rate: int = 25, seed: int = 0) -> Path:
        """H.264 High that is legal for .102 as it is."""
        scene = f"testsrc2=s={size}:r={rate}:d={seconds},hue=h={seed}"
        ffmpeg("-f", "lavfi", "-i", scene, *CAMERA, *COLOUR, str(self.file(name)))
        return self.file(name)

    def capture(self, name: str, *, seconds: float = 1, seed: int = 0, size: str = "352x288") -> Path:
        """MPEG-1 with MP2 sound in a program stream, as on a Video CD: no transfer syntax carries it, it has to be encoded."""
        scene = f"testsrc2=s={size}:r=25:d={seconds},hue=h={seed}"
        sound = f"sine=d={seconds}:sample_rate=48000"
        video, audio = ("-c:v", "mpeg1video", "-b:v", "4M"), ("-c:a", "mp2", "-b:a", "128k")
        ffmpeg(
            "-f", "lavfi", "-i", scene, "-f", "lavfi", "-i", sound, *video, *audio, "-f", "vob", str(self.file(name))
        )
        return self.file(name)

    def noise(self, name: str, *, size: str, strength: int, frames: int = 12) -> Path:
        """What no encoder likes: new noise in every frame, as motion JPEG in an AVI."""
        scene = f"color=gray:s={size}:r=25,noise=alls={strength}:allf=t"
        codec = ("-frames:v", str(frames), "-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p")
        ffmpeg("-f", "lavfi", "-i", scene, *codec, str(self.file(name)))
        return self.file(name)

    def ultrasound(self, name: str) -> Path:
        """30 frames of JPEG Baseline from pydicom's wheel."""
        path = self.file(name)
        shutil.copyfile(str(get_testdata_file("examples_ybr_color.dcm", download=False)), path)
        return path

    def mapping(self, rows: str = "**/*,P-1,Doe^Jane,20240229,ES") -> Path:
        path = self.folder / "map.csv"
        path.write_text(f"file,PatientID,PatientName,StudyDate,Modality\n{rows}\n", encoding="utf-8")
        return path

    def argv(self, *options: str, to: str | None = None, source: str | None = None) -> list[str]:
        command = [str(Path(sys.executable).with_name("cinefarm")), "migrate", source or str(self.sources)]
        return [*command, "--to", to or str(self.out), "--state", str(self.state), "--json", *options]

    def start(
        self, *options: str, to: str | None = None, source: str | None = None, wrapper: tuple[str, ...] = ()
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*wrapper, *self.argv(*options, to=to, source=source)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"CINEFARM_LEASE_SECONDS": "4", "CINEFARM_LEASE_GRACE_SECONDS": "2"},
            preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 touches no lock
        )
        self.running.append(process)
        return process

    def migrate(
        self, *options: str, to: str | None = None, source: str | None = None, wrapper: tuple[str, ...] = ()
    ) -> Run:
        return self.finish(self.start(*options, to=to, source=source, wrapper=wrapper))

    def finish(self, process: subprocess.Popen[str]) -> Run:
        stdout, stderr = process.communicate(timeout=240)
        return Run(process.returncode, [json.loads(line) for line in stdout.splitlines()], stderr)

    def results(self) -> list[Path]:
        return sorted(self.out.rglob("*.dcm"))

    def leftovers(self) -> list[Path]:
        """Anything half-written: hidden names below the destination, the store's aside folder, scratch files."""
        hidden = [path for path in self.out.rglob("*") if path.name.startswith(".")]
        aside = [self.state / "objects" / ".aside", self.state / "scratch"]
        return hidden + [path for folder in aside if folder.exists() for path in folder.rglob("*") if path.is_file()]


def family(process: subprocess.Popen[str]) -> dict[str, list[psutil.Process]]:
    """The processes below a running command, by what they are: broker, worker, ffmpeg."""
    found: dict[str, list[psutil.Process]] = {"broker": [], "worker": [], "ffmpeg": []}
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            words = " ".join(child.cmdline())
        except psutil.Error:
            continue
        if "ffmpeg" in words.split(" ")[0] and "/scratch/" not in words:
            continue  # a worker's self-test, not an order
        kind = (
            "broker" if "server" in words.split(" ")[0] else "ffmpeg" if "ffmpeg" in words.split(" ")[0] else "worker"
        )
        found[kind].append(child)
    return found

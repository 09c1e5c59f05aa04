"""The demonstration's three studies: one real ultrasound loop, a legal camera clip, an old capture. Made once, kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from common.ffmpeg import ffmpeg_program
from common.process import run

CSV = """\
file,PatientID,PatientName,PatientBirthDate,PatientSex,StudyDate,AccessionNumber,StudyDescription,Modality,Manufacturer
camera/gastroscopy.mp4,DEMO-0001,Demo^Camera,19700101,O,20240115,A-1001,Gastroscopy (synthetic),ES,Cinefarm demo
capture/*,DEMO-0002,Demo^Capture,19650505,O,20050620,A-1002,Colonoscopy from tape (synthetic),ES,Cinefarm demo
"""

_SCENE = (
    "gradients=s=320x180:r={rate}:d=4:c0=0x7a2a22:c1=0xd98a70:c2=0x4a1512:c3=0xf0b8a0:nb_colors=4:speed=0.03:seed=7:type=spiral,"
    "scale={size}:flags=bicubic,format=yuv420p,noise=alls=3:allf=t"
)
"""Slowly turning colours of mucosa with a sensor's noise, four seconds."""

CAMERA = {
    "c:v": "libx264", "profile:v": "high", "level:v": "4.1", "crf": 22, "maxrate": "12M", "bufsize": "12M", "g": 25,
    "color_range": "tv", "colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709",
}  # fmt: skip
CAPTURE: dict[str, object] = {"c:v": "dvvideo", "c:a": "pcm_s16le"}


def make_sources(folder: Path) -> Path:
    """Fill ``folder`` with the three studies (those that exist stay) and return the mapping CSV's path.

    Raises:
        ProgramFailed, ProgramMissing: FFmpeg could not make a clip.
    """
    mapping = folder.parent / "mapping.csv"
    for name in ("ultrasound", "camera", "capture"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _once(folder / "ultrasound" / "loop.dcm", _copy_ultrasound)
    _once(folder / "camera" / "gastroscopy.mp4", _make_camera_clip)
    _once(folder / "capture" / "tape.avi", _make_capture)
    mapping.write_text(CSV, encoding="utf-8")
    return mapping


def _once(path: Path, make: Callable[[Path], None]) -> None:
    if path.exists():
        return
    aside = path.with_name(f".making-{path.name}")
    make(aside)
    aside.rename(path)


def _copy_ultrasound(path: Path) -> None:
    """30 frames of JPEG Baseline, Ultrasound Multi-frame: the sample in pydicom's own package."""
    from pydicom.data import get_testdata_file

    found = get_testdata_file("examples_ybr_color.dcm", download=False)
    shutil.copyfile(str(found), path)


def _make_camera_clip(path: Path) -> None:
    """720p25 H.264 High@4.1 in an MP4, as a camera's recorder writes it: already legal."""
    _make(_SCENE.format(size="1280x720", rate=25), (), path, {"f": "mp4"} | CAMERA)


def _make_capture(path: Path) -> None:
    """Interlaced PAL from a DV tape in an AVI: no transfer syntax carries it. (MPEG-2 would only be rewrapped, to .100.)"""
    scene = _SCENE.format(size="720x576", rate=50) + ",interlace=scan=bff,setsar=16/15"
    _make(scene, ("sine=frequency=440:duration=4:sample_rate=48000",), path, {"f": "avi"} | CAPTURE)


def _make(scene: str, sounds: tuple[str, ...], path: Path, options: dict[str, object]) -> None:
    inputs = [word for graph in (scene, *sounds) for word in ("-f", "lavfi", "-i", graph)]
    chosen = [word for name, value in options.items() for word in (f"-{name}", str(value))]
    run([ffmpeg_program(), "-nostdin", "-y", "-v", "error", *inputs, *chosen, "-bitexact", str(path)], name="ffmpeg")

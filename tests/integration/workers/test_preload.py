"""What a worker loads before its pool forks is what its orders need: a child of an order imports nothing large."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from common.ffmpeg import ffmpeg_program

LOOK = """
import sys
from pathlib import Path
from workers.preload import preload
preload()
before = set(sys.modules)
from workers.describe import describe
from workers.encode import inspect
clip = Path(sys.argv[1])
describe(clip, ".mp4")
inspect(clip)
import workers.transcode, workers.package, common.dicom.headers, common.conformance, workers.shown_times
roots = {"av", "numpy", "pydicom", "workers", "common"}
print(*sorted(name for name in set(sys.modules) - before if name.partition(".")[0] in roots))
"""


def test_describing_and_packaging_find_their_libraries_loaded(tmp_path: Path):
    clip = tmp_path / "clip.mp4"
    scene = ("-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.2", "-c:v", "libx264", "-pix_fmt", "yuv420p")
    subprocess.run([ffmpeg_program(), "-v", "error", *scene, str(clip)], check=True)
    said = subprocess.run([sys.executable, "-c", LOOK, str(clip)], check=True, capture_output=True, text=True).stdout
    assert said.split() == []

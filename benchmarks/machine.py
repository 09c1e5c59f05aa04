"""Where and with what a table was made: the machine, the versions, the date."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import psutil

from common.ffmpeg import ffmpeg_program


def facts() -> dict[str, str]:
    """Lines of the table's head; "unknown" where the system does not say."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cinefarm": commit(),
        "processor": f"{processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{psutil.virtual_memory().total / (1 << 30):.0f} GiB",
        "disk": disk(Path(tempfile.gettempdir())),
        "system": platform.platform(),
        "python": platform.python_version(),
        **tools(),
    }


def commit() -> str:
    """The commit of the tree, with "changed" where files differ from it."""
    here = Path(__file__).parent
    asked = [
        ["git", "-C", str(here), *words.split()] for words in ("rev-parse --short HEAD", "status --porcelain -uno")
    ]
    try:
        name, changes = (subprocess.run(argv, check=True, capture_output=True, text=True).stdout for argv in asked)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name.strip() + (" (changed)" if changes.replace("M benchmarks/RESULTS.md", "").strip() else "")


def processor() -> str:
    """The model as the kernel names it."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.*)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return found[1] if found else platform.processor() or "unknown"


def disk(folder: Path) -> str:
    """File system, device and kind of the disk under a folder."""
    mounts = [each for each in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(each.mountpoint)]
    if not mounts:
        return "unknown"
    mount = max(mounts, key=lambda each: len(each.mountpoint))
    name = Path(mount.device).name
    block = Path("/sys/class/block") / name
    if not block.exists():
        return mount.fstype
    whole = block.resolve().parent if (block / "partition").exists() else block.resolve()
    virtual = " (virtual)" if name.startswith(("vd", "xvd")) else ""
    turning = (whole / "queue/rotational").read_text().strip() == "1" and not virtual
    return f"{mount.fstype} on {'turning disk' if turning else 'disk without turning parts'} {name}{virtual}"


def tools() -> dict[str, str]:
    """Versions of FFmpeg, x264 and libvmaf, asked of a few frames that they make."""
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        clip, log = Path(name) / "x.mp4", "v.json"
        scene = ("-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.2", "-c:v", "libx264", "-pix_fmt", "yuv420p")
        graph = f"[dec:0][0:v]libvmaf=log_fmt=json:log_path={log}[v]"
        argv = [ffmpeg_program(), "-v", "error", "-y", *scene, str(clip), "-dec", "0:0", "-filter_complex", graph]
        first = subprocess.run([ffmpeg_program(), "-version"], check=True, capture_output=True, text=True).stdout
        subprocess.run([*argv, "-map", "[v]", "-f", "null", "-"], check=True, cwd=name)
        mark = re.search(rb"x264 - (core \d+[^ ]*(?: r\d+)?)", clip.read_bytes())
        vmaf = json.loads((Path(name) / log).read_text()).get("version", "unknown")
    version = re.match(r"ffmpeg version (\S+)", first)
    return {
        "ffmpeg": version[1] if version else "unknown",
        "x264": mark[1].decode() if mark else "unknown",
        "libvmaf": str(vmaf),
    }

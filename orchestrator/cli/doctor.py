"""A self-check: what this machine has of what a farm needs, and how to get what is missing."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from common.broker_access import check_broker
from common.errors import CinefarmError
from common.ffmpeg import ffmpeg_program
from common.process import Limits, run
from common.settings import Settings
from orchestrator.build import build_store
from orchestrator.embedded import server_program

PYTHON = (3, 11)
PYDICOM = (3, 0, 2)  # CVE-2026-32711
FREE_BYTES = 5_000_000_000  # results wait in the state directory until they are delivered; a few full films fit
MEMORY_BYTES = (
    3_500_000_000  # rule of thumb: 1 GB for each of two 1080p encodes with their metrics, and the rest of the farm
)
SYNTAX = "1.2.840.10008.1.2"
DECODERS = {
    "JPEG": f"{SYNTAX}.4.50",
    "JPEG Lossless": f"{SYNTAX}.4.70",
    "JPEG-LS": f"{SYNTAX}.4.80",
    "JPEG 2000": f"{SYNTAX}.4.90",
    "RLE": f"{SYNTAX}.5",
}
ENCODERS = ("libx264", "libx265", "mpeg2video")
_AGAIN = "Make the environment again: make env"
_LIMITS = Limits(seconds=60.0)


@dataclass(frozen=True)
class Check:
    """One thing a farm needs. ``remedy`` says how to get it, also when it is there."""

    name: str
    ok: bool
    found: str
    remedy: str


def examine(settings: Settings) -> list[Check]:
    """Look at everything, and really try what can be tried; nothing is left behind."""
    looks: tuple[Callable[[], Iterator[Check]], ...] = (
        _python,
        _packages,
        _decoders,
        _ffmpeg,
        _server,
        lambda: _state_folder(settings.state_dir),
        lambda: _store(settings),
        lambda: _broker(settings),
        _machine,
    )
    return [check for look in looks for check in look()]


def _python() -> Iterator[Check]:
    ok = sys.version_info >= PYTHON
    yield Check("Python", ok, platform.python_version(), f"Install Python {'.'.join(map(str, PYTHON))} or later.")


def _packages() -> Iterator[Check]:
    found = _version("pydicom")
    ok = _numbers(found) >= PYDICOM
    yield Check("pydicom", ok, found, f"At least {'.'.join(map(str, PYDICOM))} is needed. {_AGAIN}")
    for name, module in (("PyAV", "av"), ("pynetdicom", "pynetdicom")):
        try:
            importlib.import_module(module)
        except ImportError as error:
            yield Check(name, False, f"cannot be imported: {error}", _AGAIN)
        else:
            yield Check(name, True, _version(module), _AGAIN)


def _decoders() -> Iterator[Check]:
    from pydicom.pixels.decoders.base import get_decoder

    for name, uid in DECODERS.items():
        decoder = get_decoder(uid)
        found = ", ".join(decoder.available_plugins) or "no plugin"
        yield Check(f"{name} decoder", decoder.is_available, found, _AGAIN)


def _ffmpeg() -> Iterator[Check]:
    try:
        program = ffmpeg_program()
        banner = _output([program, "-version"])
        encoders = {
            line.split()[1] for line in _output([program, "-hide_banner", "-encoders"]) if len(line.split()) > 1
        }
    except (ImportError, CinefarmError) as error:
        yield Check("FFmpeg", False, str(error), _AGAIN)
        return
    yield Check("FFmpeg", bool(banner), banner[0].split(" Copyright")[0] if banner else "no answer", _AGAIN)
    for name in ENCODERS:
        ok = name in encoders
        yield Check(f"FFmpeg encoder {name}", ok, "there" if ok else "not in this build", _AGAIN)
    yield _measured_encode(program)


def _measured_encode(program: str) -> Check:
    """Encode half a second, decode it again in the same process and score it: the very thing an attempt does."""
    scene = "testsrc2=size=176x144:rate=10:duration=0.5"
    with tempfile.TemporaryDirectory(prefix="cinefarm-doctor-") as folder:
        argv = [program, "-nostdin", "-v", "error", "-f", "lavfi", "-i", scene, "-map", "0:v"]
        argv += ["-c:v", "libx264", "-pix_fmt", "yuv420p", "out.mp4", "-dec", "0:0", "-filter_complex"]
        argv += ["[0:v]format=yuv420p[ref];[dec:0][ref]libvmaf=log_path=vmaf.json:log_fmt=json[scored]"]
        argv += ["-map", "[scored]", "-f", "null", "-"]
        try:
            run(argv, name="ffmpeg", limits=_LIMITS, cwd=Path(folder))
            scored = re.search(r'"vmaf"[^}]*"mean": ([\d.]+)', (Path(folder) / "vmaf.json").read_text())
        except (CinefarmError, OSError) as error:
            return Check("encode and measure at once", False, str(error), _AGAIN)
    found = f"VMAF {float(scored[1]):.1f}" if scored else "no score was written"
    return Check("encode and measure at once", scored is not None, found, _AGAIN)


def _server() -> Iterator[Check]:
    name, remedy = "Redis-compatible server", f"{_AGAIN}; or install valkey-server or redis-server."
    try:
        program = server_program()
        answer = _output([str(program), "--version"])
    except CinefarmError as error:
        yield Check(name, False, error.message, error.hint or remedy)
        return
    yield Check(name, bool(answer), f"{program.name}: {answer[0]}" if answer else "no answer", remedy)


def _state_folder(state_dir: Path) -> Iterator[Check]:
    """Tried in the nearest folder that exists: the check itself must not make any."""
    name, remedy = "state directory", "Choose another with --state DIR or CINEFARM_STATE_DIR."
    absolute = state_dir.absolute()
    base = next(place for place in (absolute, *absolute.parents) if place.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".cinefarm-doctor-", dir=base) as folder:
            yield Check(name, True, f"{state_dir}, writable", remedy)
            yield _links(Path(folder), remedy)
    except OSError as error:
        yield Check(name, False, f"{state_dir}: {error.strerror}", remedy)
        return
    free = shutil.disk_usage(base).free
    yield Check(
        "free disk space", free >= FREE_BYTES, f"{free / 1e9:.1f} GB", f"{FREE_BYTES / 1e9:.0f} GB or more. {remedy}"
    )


def _links(folder: Path, remedy: str) -> Check:
    """Sources are shown to workers as symbolic links; hard links only save a copy on the way to a folder."""
    source = folder / "one"
    source.touch()
    try:
        (folder / "two").symlink_to(source)
    except OSError as error:
        return Check("links", False, f"symbolic: {error.strerror}", f"This file system has none. {remedy}")
    try:
        (folder / "three").hardlink_to(source)
    except OSError:
        return Check("links", True, "symbolic; not hard: results are copied to a folder", remedy)
    return Check("links", True, "symbolic and hard", remedy)


def _store(settings: Settings) -> Iterator[Check]:
    """Only one that was asked for: the default lies in the state directory, which is looked at already."""
    if not settings.store_url:
        return
    name, remedy = "object store", "Set CINEFARM_STORE_URL and the CINEFARM_S3_… settings; see docs/stores.md."
    try:
        notes = build_store(settings).check()
    except CinefarmError as error:
        yield Check(name, False, error.message, error.hint or remedy)
    else:
        yield Check(name, True, "; ".join(("can be written, read and emptied", *notes)), remedy)


def _broker(settings: Settings) -> Iterator[Check]:
    """Only one that was asked for: the embedded farm starts its own."""
    if "broker_url" not in settings.model_fields_set:
        return
    name, remedy = "broker", "Set CINEFARM_BROKER_URL and the CINEFARM_BROKER_… settings; see docs/redis.md."
    try:
        notes = check_broker(settings)
    except CinefarmError as error:
        yield Check(name, False, error.message, error.hint or remedy)
    except ConnectionError as error:
        yield Check(name, False, str(error), remedy)
    else:
        yield Check(name, True, "; ".join(("lets us in", *notes)), remedy)


def _machine() -> Iterator[Check]:
    import psutil

    cores = len(os.sched_getaffinity(0))
    yield Check("processor cores", cores >= 2, str(cores), "Two or more; encoding takes all there are.")
    memory = psutil.virtual_memory().total
    yield Check("memory", memory >= MEMORY_BYTES, f"{memory / 1e9:.1f} GB", "4 GB or more; else use --workers 1.")


def _output(argv: list[str]) -> list[str]:
    """The lines a program writes. Raises: CinefarmError: it cannot be run, or ended badly."""
    lines: list[str] = []
    run(argv, name=Path(argv[0]).name, limits=_LIMITS, on_line=lines.append)
    return lines


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])

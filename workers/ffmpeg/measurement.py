"""The graph that scores one video against another, frame n with frame n. Pure.

Both legs are numbered 0, 1, 2 …, so no clock can put different frames side by side. libvmaf gives VMAF, PSNR and SSIM and,
where a gate wants them, MS-SSIM, VMAF-NEG and CAMBI from one pass over the same pictures. PSNR in RGB and the signatures that
prove the alignment (workers.alignment) hang on the same legs.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.recipes import Figure
from common.region import Box
from workers.ffmpeg.filters import Filter
from workers.ffmpeg.watch import OUTPUT_LEVEL, SOURCE_LEVEL, watch_chain

SIGNATURE_SIDE = 16
"""Pixels a side of a picture's signature, 16 bits each: the mean of each field keeps parts of a level."""

RGB_FORMATS = {8: "gbrp", 10: "gbrp10le"}
_EXACT = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
_NUMBERED = (  # 1000 s a frame, slower than any video: no muxer's clock rounds two of them together, and complains
    Filter("settb", (("expr", "1000"),)),
    Filter("setpts", (("expr", "N"),)),
)
_ALWAYS = ("name=psnr", "name=float_ssim")  # beside VMAF itself; one value per frame each (libvmaf's names)
_FEATURES = {Figure.MS_SSIM: "name=float_ms_ssim", Figure.CAMBI: r"name=cambi\:full_ref=true"}
_MODEL, _MODEL_NEG = "version=vmaf_v0.6.1", r"version=vmaf_v0.6.1neg\:name=vmaf_neg"
_NOWHERE = ("-fps_mode", "passthrough", "-f", "null", "-")
_SMALLEST_MS_SSIM = 176  # pixels a side: eleven in the coarsest of five scales
_SMALLEST_CAMBI = 216  # pixels of the longer side


@dataclass(frozen=True)
class Measurement:
    """What is measured beside PSNR, SSIM and VMAF, and where FFmpeg writes it, in the folder that it runs in."""

    log: str  # libvmaf's own
    threads: int
    figures: frozenset[Figure] = frozenset()
    stride: int = 1  # each so-many-th frame is scored
    signatures: bool = False
    inside: Box | None = None  # where VMAF, PSNR, SSIM, MS-SSIM and VMAF-NEG are taken a second time
    watched: bool = False  # each frame of both legs is looked at (workers.ffmpeg.watch)

    @property
    def inside_log(self) -> str:
        """libvmaf's own, of the inside."""
        return f"{self.log}.inside"

    @property
    def source_watch(self) -> str:
        """What every frame of the reference looks like."""
        return f"{self.log}.source"

    @property
    def output_watch(self) -> str:
        """What every frame of the result looks like."""
        return f"{self.log}.output"

    @property
    def rgb_log(self) -> str:
        """PSNR in RGB, frame by frame."""
        return f"{self.log}.rgb"

    @property
    def signature_file(self) -> str:
        """Raw pictures: the result's signature beside the reference's, 16 bits little-endian."""
        return f"{self.log}.luma"

    @property
    def files(self) -> tuple[str, ...]:
        """All that may be written."""
        return (
            self.log,
            self.rgb_log,
            self.signature_file,
            self.inside_log,
            self.source_watch,
            self.output_watch,
        )


def too_small_for(width: int, height: int) -> dict[Figure, str]:
    """The figures that libvmaf does not compute on pictures of this size (pixels), with the reason."""
    reasons = {}
    if min(width, height) < _SMALLEST_MS_SSIM:
        reasons[Figure.MS_SSIM] = f"{width}×{height}: MS-SSIM needs {_SMALLEST_MS_SSIM} pixels a side"
    if max(width, height) < _SMALLEST_CAMBI:
        reasons[Figure.CAMBI] = f"{width}×{height}: CAMBI needs {_SMALLEST_CAMBI} pixels on the longer side"
    return reasons


@dataclass(frozen=True)
class Leg:
    """One of the two videos: where its frames come from, and their way to the scores."""

    inlet: str
    chain: tuple[Filter, ...] = ()
    rgb: tuple[Filter, ...] = ()  # from the end of the chain, or from rgb_inlet, to planar RGB
    rgb_inlet: str = ""  # where the chroma is still whole


def to_rgb(
    source: dict[str, str], *, bits: int, interlaced: bool = False, size: dict[str, str] | None = None
) -> tuple[Filter, Filter]:
    """One pass of swscale to full-range planar RGB; ``source``: its options that say what comes in."""
    options = {**(size or {}), **source, "out_range": "full", "flags": _EXACT, "sws_dither": "none"}
    if interlaced:
        options["interl"] = "1"
    return Filter("scale", tuple(options.items())), Filter("format", (("pix_fmts", RGB_FORMATS[bits]),))


def comparison(distorted: Leg, reference: Leg, measurement: Measurement) -> tuple[str, list[str]]:
    """The graph, and the words that say where its outputs go."""
    parts: list[str] = []
    ends = [_leg(leg, name, measurement, parts) for leg, name in ((distorted, "dist"), (reference, "ref"))]
    parts.append(_judged(f"{ends[0]['score']}{ends[1]['score']}", ends[1].get("inside", ""), measurement))
    outputs = ["-map", "[scored]", *_NOWHERE]
    if Figure.PSNR_RGB in measurement.figures:
        told = (("mode", "print"), ("key", "lavfi.psnr.psnr_avg"), ("file", measurement.rgb_log))
        parts.append(f"{ends[0]['rgb']}{ends[1]['rgb']}psnr,{text(Filter('metadata', told))}[rgb]")
        outputs += ["-map", "[rgb]", *_NOWHERE]
    if measurement.signatures:
        parts.append(f"{ends[0]['luma']}{ends[1]['luma']}hstack[luma]")
        raw = ("-fps_mode", "passthrough", "-c:v", "rawvideo", "-f", "rawvideo", measurement.signature_file)
        outputs += ["-map", "[luma]", *raw]
    return ";".join(parts), outputs


def _leg(leg: Leg, name: str, measurement: Measurement, parts: list[str]) -> dict[str, str]:
    """Write one leg into ``parts``; the labels it ends in."""
    ends = {"score": f"[{name}]"}
    from_chain = [ends["score"]]
    if Figure.PSNR_RGB in measurement.figures:
        ends["rgb"] = f"[{name}rgb]"
        begin = leg.rgb_inlet or f"[{name}whole]"
        if not leg.rgb_inlet:
            from_chain.append(begin)
        skip = Filter("select", (("expr", f"not(mod(n,{measurement.stride}))"),))
        steps = (*((skip,) if measurement.stride > 1 else ()), *leg.rgb, *_NUMBERED)
        parts.append(f"{begin}{chained(steps)}{ends['rgb']}")
    if measurement.signatures:
        ends["luma"] = f"[{name}luma]"
        from_chain.append(f"[{name}plain]")
        parts.append(f"[{name}plain]{chained(SIGNATURE)}{ends['luma']}")
    if measurement.watched:
        level, log = (
            (OUTPUT_LEVEL, measurement.output_watch) if name == "dist" else (SOURCE_LEVEL, measurement.source_watch)
        )
        from_chain.append(f"[{name}watched]")
        parts.append(f"[{name}watched]{chained(watch_chain(level, log))}")
    if measurement.inside and name == "ref":
        ends["inside"] = "[refinside]"
        from_chain.append(ends["inside"])
    split = f",split={len(from_chain)}" if len(from_chain) > 1 else ""
    parts.append(f"{leg.inlet}{chained((*leg.chain, *_NUMBERED))}{split}{''.join(from_chain)}")
    return ends


_SIDE = str(SIGNATURE_SIDE)
SIGNATURE = (
    Filter("scale", (("w", _SIDE), ("h", _SIDE), ("flags", "area+accurate_rnd+bitexact"))),
    Filter("format", (("pix_fmts", "gray16le"),)),
)


def _judged(legs: str, reference: str, measurement: Measurement) -> str:
    """libvmaf on the whole pictures; what it passes on, cropped, and the reference, cropped, go through a second one."""
    whole = text(Filter("libvmaf", tuple(_libvmaf(measurement, measurement.log, measurement.figures).items())))
    if measurement.inside is None:
        return f"{legs}{whole}[scored]"
    left, top, width, height = map(str, measurement.inside)
    crop = text(Filter("crop", (("w", width), ("h", height), ("x", left), ("y", top), ("exact", "1"))))
    figures = measurement.figures & inside_figures((measurement.inside[2], measurement.inside[3]))
    inner = text(Filter("libvmaf", tuple(_libvmaf(measurement, measurement.inside_log, figures).items())))
    return (
        f"{legs}{whole}[whole_scored];[whole_scored]{crop}[distcropped];{reference}{crop}[refcropped];"
        f"[distcropped][refcropped]{inner}[scored]"
    )


def inside_figures(size: tuple[int, int]) -> frozenset[Figure]:
    """The figures that are taken of a region of this size too: those that libvmaf computes from luma alone, and at any scale."""
    return frozenset({Figure.MS_SSIM, Figure.VMAF_NEG}) - too_small_for(*size).keys()


def _libvmaf(measurement: Measurement, log: str, wanted: frozenset[Figure]) -> dict[str, str]:
    """The CSV log is a tenth of the JSON's size and holds the same six decimals."""
    features = (*_ALWAYS, *(name for figure, name in _FEATURES.items() if figure in wanted))
    options = {"n_threads": str(measurement.threads), "feature": "|".join(features)}
    if Figure.VMAF_NEG in wanted:
        options["model"] = f"{_MODEL}|{_MODEL_NEG}"
    if measurement.stride > 1:
        options["n_subsample"] = str(measurement.stride)
    return options | {"log_fmt": "csv", "log_path": log}


def chained(steps: tuple[Filter, ...]) -> str:
    """Filters one after the other, as FFmpeg reads them."""
    return ",".join(map(text, steps))


def text(step: Filter) -> str:
    """A filter as FFmpeg reads it in a graph; its values hold nothing that graphs quote but those of libvmaf."""
    options = ":".join(f"{name}='{value}'" for name, value in step.options)
    return f"{step.name}={options}" if options else step.name

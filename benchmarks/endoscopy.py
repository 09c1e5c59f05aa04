"""Made-up footage that is hard in the ways of endoscopy; written as a camera would write it, with sensor noise in every frame."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from common.ffmpeg import ffmpeg_program

_TISSUE = (
    "gradients=s={w}x{h}:r={rate}:d={seconds}:n=5:c0=0x5c1a16:c1=0xb5523f:c2=0xd98a73:c3=0x7a2620:c4=0xc46a58:"
    "speed=0.02:seed={seed},format=yuv420p"
)
"""Slow reddish shades: a pan over a mucosa without detail of its own."""

_VESSELS = (
    "cellauto=s={w}x{h}:r={rate}:rule=110:seed=5:scroll=0,trim=end_frame=1,format=yuv420p,gblur=sigma=2.5,"
    "loop=loop=-1:size=1,trim=duration={seconds}"
)
"""Fine detail that stays: a still texture, which the pan below moves."""

_SENSOR = "noise=alls={noise}:allf=t:all_seed=3"


@dataclass(frozen=True)
class Scene:
    """One synthetic clip."""

    name: str
    width: int
    height: int
    rate: int
    graph: str
    noise: int = 3


def _moving_detail(strength: float) -> str:
    """Tissue with a texture that pans slowly over it."""
    return (
        f"{_TISSUE}[shade];{_VESSELS},scroll=h=0.0007:v=0.0004[detail];"
        f"[shade][detail]blend=c0_mode=softlight:c0_opacity={strength}:c1_mode=normal:c1_opacity=1:c2_mode=normal:c2_opacity=1"
    )


def _spot(number: int) -> str:
    """A specular highlight that wanders."""
    speed, phase = 0.7 + 0.31 * number, 1.9 * number
    return (
        f"color=white:s=24x16:r={{rate}}:d={{seconds}},format=yuva420p[spot{number}];"
        f"[scene{number}][spot{number}]overlay=x='(W-w)*(0.5+0.45*sin({speed}*t+{phase}))':"
        f"y='(H-h)*(0.5+0.45*cos({speed * 1.3:.3f}*t+{phase}))'"
    )


SCENES = (
    Scene(
        "moving highlights",
        1920,
        1080,
        25,
        f"{_moving_detail(0.35)}[scene0];{_spot(0)}[scene1];{_spot(1)}[scene2];{_spot(2)}",
    ),
    Scene(
        "static black border",
        720,
        576,
        25,
        f"{_moving_detail(0.5)}[inside];"
        "color=black:s={w}x{h}:r={rate}:d=1,trim=end_frame=1,format=gray,geq=lum='255*lt(hypot(X-W/2,Y-H/2),H*0.49)',"
        "loop=loop=-1:size=1,trim=duration={seconds},format=yuv420p[circle];"
        "color=black:s={w}x{h}:r={rate}:d={seconds},format=yuv420p[black];"
        "[circle]lutyuv=u=val:v=val,extractplanes=y,split=2[ym][cm];[cm]scale=iw/2:ih/2,split=2[um][vm];"
        "[ym][um][vm]mergeplanes=0x001020:yuv420p[mask];[black][inside][mask]maskedmerge",
    ),
    Scene(
        "smoke-like noise",
        640,
        360,
        25,
        f"{_moving_detail(0.5)}[clear];"
        "color=gray:s=40x22:r={rate}:d={seconds},format=yuv420p,noise=c0s=90:c0f=t:c0_seed=11,tmix=frames=12,"
        "scale={w}:{h}:flags=bicubic,lutyuv=y='clip((val-128)*4+128,0,235)'[smoke];[clear][smoke]blend=c0_mode=screen:c0_opacity=0.6:"
        "c1_mode=average:c2_mode=average",
        noise=4,
    ),
    Scene(
        "fast cuts",
        854,
        480,
        30,
        f"{_moving_detail(0.5)}[one];testsrc2=s={{w}}x{{h}}:r={{rate}}:d={{seconds}},format=yuv420p,boxblur=2[two];"
        "[one][two]overlay=enable='lt(mod(t,1.7),0.6)'",
    ),
)


def film(scene: Scene, folder: Path, seconds: float) -> Path:
    """The clip as an H.264 file of good quality."""
    path = folder / f"{scene.name.replace(' ', '-')}.mp4"
    given = {"w": scene.width, "h": scene.height, "rate": scene.rate, "seconds": seconds, "seed": 7}
    graph = f"{scene.graph},{_SENSOR},format=yuv420p".format(**given, noise=scene.noise)
    coding = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-g", str(scene.rate))
    argv = [ffmpeg_program(), "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", graph, *coding, str(path)]
    subprocess.run(argv, check=True)
    return path

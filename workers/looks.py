"""What was seen of pictures, times and sound beside the scores: misses for the gate, remarks for people, facts for the evidence. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from common.media import Description
from workers.find_region import RegionLook
from workers.pictures import PictureLook
from workers.sync import SoundLook, compare_sound

NOT_DECODED = "nothing was decoded: the pictures are the source's own, bit for bit"
BY_CHUNKS = "many workers made it: each looked at its own frames' scores alone"
FRAME_BY_FRAME = "each frame was coded by itself, and compared with its own"


@dataclass(frozen=True)
class Looks:
    """One result against its source. ``pictures`` is None where nothing was decoded (``why_not``)."""

    source: Description
    output: Description
    sound: SoundLook
    pictures: PictureLook | None = None
    region: RegionLook | None = None
    why_not: str = ""

    @property
    def misses(self) -> tuple[str, ...]:
        """What the source does not have: each keeps a result back."""
        return (
            *(self.pictures.misses if self.pictures else ()),
            *_new_gaps(self.source, self.output),
            *self.sound.misses,
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know of the source, and where the figures were taken a second time."""
        video = self.source.video
        gaps = (f"time stamps of the source leave out frames at {video.gap_count} places",) if video.gap_count else ()
        hidden = (
            (f"{video.hidden_frames} coded frames of the source are shown by no player",) if video.hidden_frames else ()
        )
        inside: tuple[str, ...] = ()
        if self.region and self.region.region:
            inside = (f"the gate was held inside {self.region.region.words} as well ({self.region.asked})",)
        return (*inside, *(self.pictures.remarks if self.pictures else ()), *gaps, *hidden, *self.sound.remarks)

    def json(self) -> dict[str, Any]:
        """``pictures`` of the evidence."""
        looked = self.pictures.json() if self.pictures else {"looked_at": False, "why_not": self.why_not}
        return looked | {
            "misses": list(self.misses),
            "remarks": list(self.remarks),
            "dropped": {
                # a frame without a counterpart ends an encode (workers.encode), and a copied bitstream is the source's own
                "frames": 0,
                "hidden_in_source": self.source.video.hidden_frames,
            },
            "gaps": {"source": _gaps(self.source), "output": _gaps(self.output)},
            "sound": self.sound.json(),
        }


def look_at(
    source: Description,
    output: Description,
    *,
    pictures: PictureLook | None = None,
    region: RegionLook | None = None,
    why_not: str = "",
) -> Looks:
    """All that is known of a result; times and sound come from the two descriptions."""
    return Looks(source, output, compare_sound(source, output), pictures, region, why_not)


def _new_gaps(source: Description, output: Description) -> tuple[str, ...]:
    new = output.video.gap_count - source.video.gap_count
    return (f"time stamps of the result leave out frames at {new} places where the source's do not",) if new > 0 else ()


def _gaps(description: Description) -> dict[str, Any]:
    video = description.video
    return {
        "count": video.gap_count,
        "columns": ["frame that lasts too long", "frames missing", "seconds it lasts"],
        "longest": [[gap.frame, gap.missing, gap.seconds] for gap in video.gaps],
    }

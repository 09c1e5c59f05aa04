"""/rendered as a player asks it: MP4 with its index first, by ranges; PyAV judges that it plays."""

from __future__ import annotations

import io

import av
import pytest
from support.viewing import H264, H264_MANY, HEVC, MPEG2, at, client_of, clip, keep, video
from support.web_server import Served

LAST = ("-c:v", "libx264", "-g", "10")
X265 = ("-c:v", "libx265", "-x265-params", "log-level=error", "-tag:v", "hvc1", "-movflags", "+faststart")
RENDERED = f"{at()}/rendered"


def frames_of(data: bytes) -> int:
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.decode(video=0))


def boxes(data: bytes) -> list[str]:
    found, at_byte = [], 0
    while at_byte < len(data):
        size = int.from_bytes(data[at_byte : at_byte + 4], "big")
        found.append(data[at_byte + 4 : at_byte + 8].decode())
        at_byte += size
    return found


@pytest.mark.parametrize(
    ("options", "syntax", "fragment_bytes"),
    [((), H264, 1 << 20), ((), H264_MANY, 1000), (LAST, H264, 1 << 20), (LAST, H264_MANY, 1002), (X265, HEVC, 1 << 20)],
    ids=["index-first", "in-fragments", "index-last", "index-last-in-fragments", "hevc"],
)
def test_a_video_plays_with_its_index_first(
    served: Served, options: tuple[str, ...], syntax: str, fragment_bytes: int
) -> None:
    keep(served, video(clip(*options), syntax, fragment_bytes=fragment_bytes))
    data = client_of(served).retrieve_instance_rendered("1.2.3", "1.2.3.1", "1.2.3.1.1", media_types=("video/mp4",))
    assert frames_of(data) == 50
    assert boxes(data).index("moov") < boxes(data).index("mdat")
    if not options:
        assert data == clip()


@pytest.mark.parametrize("options", [(), LAST], ids=["index-first", "index-last"])
def test_ranges_together_are_the_whole(served: Served, options: tuple[str, ...]) -> None:
    keep(served, video(clip(*options), H264_MANY, fragment_bytes=1000))
    whole = served.client.get(RENDERED)
    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    got, step = b"", 7001
    while len(got) < len(whole.content):
        part = served.client.get(RENDERED, headers={"Range": f"bytes={len(got)}-{len(got) + step - 1}"})
        assert part.status_code == 206
        last = len(got) + len(part.content) - 1
        assert part.headers["content-range"] == f"bytes {len(got)}-{last}/{len(whole.content)}"
        got += part.content
    assert got == whole.content
    assert served.client.get(RENDERED, headers={"Range": "bytes=-10"}).content == whole.content[-10:]


def test_a_range_beyond_the_end_cannot_be_satisfied(served: Served) -> None:
    keep(served, video(clip()))
    answer = served.client.get(RENDERED, headers={"Range": "bytes=999999999-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(clip())}")


def test_a_range_of_other_bytes_is_not_given(served: Served) -> None:
    keep(served, video(clip()))
    tag = served.client.head(RENDERED).headers["etag"]
    asked = {"Range": "bytes=0-9", "If-Range": tag}
    assert served.client.get(RENDERED, headers=asked).status_code == 206
    assert served.client.get(RENDERED, headers={"If-None-Match": tag}).status_code == 304
    keep(served, video(clip(*LAST)))
    again = served.client.get(RENDERED, headers=asked)
    assert (again.status_code, again.headers["etag"] == tag) == (200, False)


def test_head_tells_what_get_would_send(served: Served) -> None:
    keep(served, video(clip()))
    head, whole = served.client.head(RENDERED), served.client.get(RENDERED)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(whole.content)))
    assert head.headers["content-type"] == whole.headers["content-type"] == "video/mp4"


def test_mpeg_2_is_given_as_what_it_is_or_not_at_all(served: Served) -> None:
    stream = clip("-c:v", "mpeg2video", "-q:v", "4", suffix=".mpg")
    keep(served, video(stream, MPEG2))
    assert served.client.get(RENDERED, headers={"Accept": "video/mpeg"}).content == stream
    refused = served.client.get(RENDERED, headers={"Accept": "video/mp4"})
    assert (refused.status_code, "MPEG-2" in refused.json()["detail"]) == (406, True)


@pytest.mark.parametrize("cut", [4, 40, 600])
def test_a_broken_mp4_costs_an_answer_and_not_the_server(served: Served, cut: int) -> None:
    keep(served, video(clip(*LAST)[:-cut]))
    assert served.client.get(RENDERED).status_code == 406
    assert served.client.get("/api/v1/health/live").status_code == 200

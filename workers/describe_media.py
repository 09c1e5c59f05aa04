"""What a media stream is: demuxed once from end to end with FFmpeg's libraries, decoded only at its head."""

from __future__ import annotations

import io
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from common.errors import NotVideo, UnreadableSource, UnsupportedSource
from common.media import AudioStream, Coding, Scan, VideoStream
from workers import describe_video
from workers.describe_coded import Coded, FrameCounter, read_coded
from workers.describe_load import Load
from workers.describe_quick import QUICK_PACKETS, whole_stream
from workers.describe_sound import Heard, MpegAudio
from workers.describe_timing import FALLBACK_RATE, Cadence, cadence, fixed
from workers.elementary import elementary_digest
from workers.survey import Survey, survey_of

if TYPE_CHECKING:
    from av.audio.stream import AudioStream as AvAudio
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream as AvVideo

FORMATS = "mov,mpegts,mpeg,avi,matroska,webm,h264,hevc,mpegvideo,m4v,mxf,asf,flv,dv,ogg,ivf,gxf,nut"
"""FFmpeg's demuxers of real video containers: no playlists, no network, no text, no numbered images."""

CODECS = (
    "h264,hevc,mpeg1video,mpeg2video,mpeg4,mjpeg,h263,vc1,wmv1,wmv2,wmv3,msmpeg4v1,msmpeg4v2,msmpeg4,flv,theora,vp3,"
)
CODECS += "vp8,vp9,av1,libdav1d,libvpx,libvpx-vp9,dvvideo,prores,dnxhd,ffv1,huffyuv,ffvhuff,utvideo,lagarith,magicyuv,"
CODECS += "rawvideo,v210,qtrle,cinepak,msvideo1,svq1,svq3,indeo4,indeo5,jpeg2000,jpegls,mjpegb,"
CODECS += (
    "aac,aac_latm,mp3,mp3float,mp2,mp2float,mp1float,ac3,eac3,dca,flac,alac,opus,libopus,vorbis,libvorbis,wmav1,wmav2,"
)
CODECS += (
    "pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_f32le,pcm_u8,pcm_s8,pcm_alaw,pcm_mulaw,pcm_bluray,pcm_dvd"
)
"""FFmpeg's decoders that may run on a source."""

CONTAINERS = {"mov": "mp4", "mpeg": "mpegps", "matroska": "matroska"}
CONTAINERS |= dict.fromkeys(("h264", "hevc", "mpegvideo", "m4v"), "elementary")
"""Our words for FFmpeg's demuxers; others keep their name."""

CODED_PACKETS = 3
"""Packets searched for headers: every key frame repeats them, and these are held in memory."""

HEAD_PACKETS = 64
"""Packets whose slices are surveyed."""

REORDERED = 16
"""Packets decoded behind the first frame that is shown: the longest reordering, so frames that no decoder can show are seen
missing (H.264 A.3.1: MaxDpbFrames is 16 at most)."""

FIELDS_UNSAID = frozenset({"h264", "mpeg4", "vc1", "wmv3"})
"""Codecs whose frames can change between progressive and interlaced, and whose decoder alone tells: HEAD_PACKETS are decoded.
Pictures of MPEG-2 and field pictures of H.264 are counted to the end of the stream (FrameCounter)."""

MAX_HEAD_PACKETS = 1024
"""Packets searched for a first frame: a recording cut out of a longer one may begin far from its next key frame."""

HEAD_BYTES = 64 << 20
"""Fewer packets are decoded where they are this big together and a frame was shown."""

_PROGRESSIVE = 1  # AV_FIELD_PROGRESSIVE; 0: unknown, above: interlaced


class Stream(Protocol):
    """Bytes that can only be read front to back."""

    def read(self, size: int, /) -> bytes:
        """Up to so many; empty at the end."""


Source = Path | io.BufferedReader | Stream
Opener = Callable[[], Source]


@dataclass(frozen=True)
class Media:
    """What a media stream is, without the file around it."""

    container: str
    video: VideoStream
    audio: tuple[AudioStream, ...]
    video_streams: int
    other_streams: int
    notes: tuple[str, ...]
    times: array[int]  # when frames are shown, in coded order, ticks; empty where the container does not say
    time_base: Fraction  # seconds of a tick
    leading: int  # frames that come before the first key frame, or are shown before it


@dataclass(frozen=True)
class _Head:
    """The first packets, decoded, or looked at only."""

    coded: Coded
    survey: Survey | None
    frame: VideoFrame  # the first one shown
    scan: Scan
    lost: int  # frames that were counted but not shown: no key frame before them
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Body:
    """All packets, counted."""

    frames: int
    cadence: Cadence
    stream_bytes: int
    dropped: int  # packets that an edit list hides
    load: Load
    mpeg_audio: MpegAudio  # tracks of MPEG audio, by their frames' own headers
    heard: Heard
    times: array[int]
    leading: int
    digest: str | None  # of the elementary stream
    scan: Scan  # of the head, or of pictures behind it that are interlaced


def read_media(opener: Opener, *, decode: bool = True, quick: bool = False) -> Media:
    """Describe the media stream that ``opener`` opens (twice). ``quick``: by its head and its container's word for the rest.


    Without ``decode`` no frame is: memory stays small at any picture size, every coded frame counts as shown, and the
    display matrix is not known.

    Raises:
        NotVideo: no video stream in it.
        UnreadableSource: FFmpeg cannot open it, cannot show a frame of it, or cannot read it to its end.
        UnsupportedSource: a codec that is not on our list.
    """
    head = _read_head(opener, decode=decode, quick=quick)
    with open_container(opener()) as container:
        stream = video_stream(container)
        body = _read_body(container, stream, head, QUICK_PACKETS if quick else None, hashed=decode and not quick)
        angle, mirrored, turned = describe_video.orientation(head.frame) if decode else (0, False, ())
        begin = min(body.times) * stream.time_base if body.times and stream.time_base else None
        tracks = tuple(
            describe_video.audio(track, body.mpeg_audio.of(track), body.heard.span(track, begin))
            for track in container.streams.audio
        )
        pictures = _video_streams(container)
        return Media(
            container=_container_word(container),
            video=_video(stream, head, body, angle, mirrored),
            audio=tracks,
            video_streams=pictures,
            other_streams=len(container.streams) - pictures - len(tracks),
            notes=(*head.notes, *turned, *_body_notes(head, body), *_choices(stream, pictures, len(tracks))),
            times=body.times,
            time_base=stream.time_base or Fraction(1),
            leading=body.leading,
        )


def open_container(source: Source) -> InputContainer:
    """Open a file or a stream with FFmpeg, restricted to FORMATS and CODECS and to local bytes.

    Raises:
        UnreadableSource: no such container in it.
    """
    import av

    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "codec_whitelist": CODECS}
    target = f"file:{source.absolute()}" if isinstance(source, Path) else source
    try:
        return av.open(target, "r", options=options, metadata_errors="replace", buffer_size=1 << 18)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UnreadableSource("no video container that we read") from error


def video_stream(container: InputContainer) -> AvVideo:
    """The first video stream that is no attached picture.

    Raises:
        NotVideo: there is none.
        UnsupportedSource: its codec is not on our list.
    """
    for stream in container.streams.video:
        if not _attached(stream):
            if stream.codec_context is None or stream.codec_context.name not in CODECS.split(","):
                raise UnsupportedSource("the video's codec is not supported")
            return stream
    raise NotVideo("a media file without video")


def _attached(stream: AvVideo) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _video_streams(container: InputContainer) -> int:
    return sum(not _attached(stream) for stream in container.streams.video)


def _codec(stream: AvVideo) -> str:
    return str(stream.codec_context.codec.canonical_name)  # av1, where the decoder is libdav1d


def _container_word(container: InputContainer) -> str:
    name = container.format.name.split(",")[0]
    return CONTAINERS.get(name, name)


def _packets(container: InputContainer, *streams: AvVideo | AvAudio) -> Iterator[Packet[Any]]:
    """The streams' packets that hold bytes.

    Raises:
        UnreadableSource: the container breaks off.
    """
    import av

    try:
        for packet in container.demux(*streams):
            if packet.size:
                yield packet
    except av.error.FFmpegError as error:
        raise UnreadableSource("FFmpeg cannot read the container to its end") from error


def _read_head(opener: Opener, *, decode: bool, quick: bool) -> _Head:
    from av.codec.context import Flags

    with open_container(opener()) as container:
        stream = video_stream(container)
        context = stream.codec_context
        context.thread_count = 1  # frame threads would take memory for frames that nobody looks at
        context.flags |= Flags.unaligned  # crop exactly, also on the left
        context.options = {"skip_loop_filter": "all"}  # size, colours and fields are asked of a frame, not its samples
        packets = _packets(container, stream)
        first = list(islice(packets, CODED_PACKETS))
        coded = read_coded(_codec(stream), context.extradata or b"", map(bytes, first))
        survey = survey_of(_codec(stream), context.extradata or b"")
        if not decode:
            if survey:
                for packet in chain(first, islice(packets, HEAD_PACKETS - CODED_PACKETS)):
                    survey.picture(bytes(packet))
            return _undecoded(stream, coded, survey)
        counter, shown = FrameCounter(_codec(stream), coded), _Shown(stream)
        enough = HEAD_PACKETS if _may_hold_fields(stream, coded) else 1 + REORDERED
        counted = size = shown_at = 0
        for number, packet in enumerate(chain(first, islice(packets, MAX_HEAD_PACKETS)), 1):
            if not shown.first or (not quick and number <= max(enough, shown_at + REORDERED)):
                shown.decode(packet)
                counted += 0 if packet.is_discard else counter.frames_of(packet)
                shown_at = shown_at or (number if shown.first else 0)
            if survey and number <= HEAD_PACKETS:
                survey.picture(bytes(packet))
            size += packet.size
            if shown.first and (number >= HEAD_PACKETS or size > HEAD_BYTES):
                break
        shown.decode(None)
        if shown.first is None:
            raise UnreadableSource("no frame of the video can be decoded")
        scan, notes = describe_video.field_order(context.field_order, coded.top_first, shown.interlaced)
        if coded.has_timing is False and _container_word(container) == "elementary":
            notes += (f"the stream names no frame rate: {FALLBACK_RATE} frames/s assumed",)
        return _Head(coded, survey, shown.first, scan, max(0, counted - shown.frames), notes)


def _may_hold_fields(stream: AvVideo, coded: Coded) -> bool:
    return _codec(stream) in FIELDS_UNSAID and not (coded.sps is not None and coded.sps.frame_mbs_only)


def _undecoded(stream: AvVideo, coded: Coded, survey: Survey | None) -> _Head:
    """What the parameters say that FFmpeg's demuxer found in the stream's own headers.

    Raises:
        UnreadableSource: it found no picture size or format.
    """
    context = stream.codec_context
    if context.format is None or not context.width or not context.height:
        raise UnreadableSource("the video's headers name no picture")
    fields = coded.sps is not None and not coded.sps.frame_mbs_only
    order = context.field_order
    interlaced = coded.top_first is not None or order > _PROGRESSIVE or (order < _PROGRESSIVE and fields)
    scan, notes = describe_video.field_order(order, coded.top_first, interlaced)
    # a context names size, format and colours as a frame does, and nothing else is asked of either
    return _Head(coded, survey, cast("VideoFrame", context), scan, 0, notes)


class _Shown:
    """What a decoder shows of the packets it is given."""

    def __init__(self, stream: AvVideo) -> None:
        self._context = stream.codec_context
        self.first: VideoFrame | None = None
        self.frames = 0
        self.interlaced = False  # any of them

    def decode(self, packet: Packet[AvVideo] | None) -> None:
        """Decode one packet, or flush. A broken one is passed over: the next may be sound."""
        import av

        with suppress(av.error.FFmpegError):
            for frame in self._context.decode(packet):
                self.first = self.first or frame
                self.frames += 1
                self.interlaced = self.interlaced or bool(frame.interlaced_frame)


def _read_body(container: InputContainer, stream: AvVideo, head: _Head, most: int | None, *, hashed: bool) -> _Body:
    """Count all packets, or the first ``most``. Presentation times are taken of frames, so not of second fields."""
    counter, load = FrameCounter(_codec(stream), head.coded), Load()
    digest = elementary_digest(_codec(stream), stream.codec_context.extradata or b"") if hashed else None
    times = array("q")
    frames = stream_bytes = dropped = last = early = packets = 0
    key: int | None = None  # when the first key frame is shown
    sound = tuple(container.streams.audio) if most is None else ()  # a quick look does not judge sound
    heard, mpeg_audio = Heard(), MpegAudio(container.streams.audio)
    for packet in _packets(container, stream, *sound):
        if packet.stream_index != stream.index:
            heard.add(packet)
            mpeg_audio.add(packet)
            continue
        if packets == most:
            break
        packets += 1
        stream_bytes += packet.size
        if digest is not None:
            digest.add(bytes(packet))
        begun = counter.frames_of(packet)
        load.add(packet.size, key=packet.is_keyframe, begins=bool(begun))
        if packet.is_keyframe and head.survey:
            head.survey.key(bytes(packet))
        if packet.is_discard:
            dropped += begun
            continue
        frames += begun
        time = packet.pts if packet.pts is not None else packet.dts
        if begun and time is not None:
            times.append(time)
            last = packet.duration or last
            early += key is None and not packet.is_keyframe
            key = time if key is None and packet.is_keyframe else key
    frames -= head.lost
    if frames < 1:
        raise UnreadableSource("no frame of the video can be decoded")
    if head.lost:  # they come first in any order: what precedes the first key frame, and what hangs on it
        times = array("q", sorted(times)[head.lost :])
    leading = early + sum(time < key for time in times[early : early + HEAD_PACKETS]) if key is not None else early
    nominal = (stream.codec_context.framerate, stream.average_rate, stream.guessed_rate)
    if len(times) == frames and stream.time_base is not None:
        found = cadence(times, stream.time_base, nominal, last)
    else:
        found = fixed(frames, nominal)
    kept = times if len(times) == frames else array("q")
    if packets == most:
        frames, stream_bytes, found = whole_stream(container, stream, packets, frames, stream_bytes, found)
        kept = array("q")
    return _Body(
        frames,
        found,
        stream_bytes,
        dropped,
        load,
        mpeg_audio,
        heard,
        kept,
        leading,
        digest.hexdigest() if digest else None,
        _scan_of_all(head, counter),
    )


def _scan_of_all(head: _Head, counter: FrameCounter) -> Scan:
    """One interlaced picture anywhere makes a video interlaced: coded as such, progressive ones lose nothing."""
    if head.scan is not Scan.PROGRESSIVE or not counter.interlaced:
        return head.scan
    return Scan.BOTTOM_FIELD_FIRST if counter.top_first is False else Scan.TOP_FIELD_FIRST


def _video(stream: AvVideo, head: _Head, body: _Body, angle: int, mirrored: bool) -> VideoStream:
    frame, context, survey = head.frame, stream.codec_context, head.survey
    bits, chroma = describe_video.shape(frame.format.name)
    seconds = body.cadence.duration_ms / 1000
    return VideoStream(
        codec=_codec(stream),
        profile=head.coded.profile or context.profile,
        level_idc=head.coded.level_idc if head.coded.level_idc is not None else _positive(context.level),
        width=frame.width,
        height=frame.height,
        pixel_aspect=stream.sample_aspect_ratio or context.sample_aspect_ratio or Fraction(1),
        rotation=angle,
        mirrored=mirrored,
        pixel_format=frame.format.name,
        bit_depth=bits,
        chroma=chroma,
        full_range=describe_video.full_range(frame),
        matrix=describe_video.MATRICES.get(frame.colorspace),
        primaries=describe_video.PRIMARIES.get(frame.color_primaries),
        transfer=describe_video.TRANSFERS.get(frame.color_trc),
        scan=body.scan,
        frame_rate=body.cadence.rate,
        constant_rate=body.cadence.constant,
        frame_count=body.frames,
        duration_ms=body.cadence.duration_ms,
        bit_rate=round(8 * body.stream_bytes / seconds) if seconds else None,
        frame_packed=head.coded.frame_packed,
        stream_digest=body.digest,
        mastering_display=(survey and survey.light.mastering) or describe_video.mastering_display(frame),
        content_light=(survey and survey.light.content) or describe_video.content_light(frame),
        coding=_coding(survey, body.load) if survey else None,
        steady=body.cadence.steady,
        gaps=body.cadence.gaps,
        gap_count=body.cadence.gap_count,
        hidden_frames=body.dropped + head.lost,
        trimmed=head.coded.crop_left > 0,
    )


def _coding(survey: Survey, load: Load) -> Coding:
    return survey.coding().model_copy(update={"longest_gop": load.longest_gop(), "peaks": load.peaks()})


def _choices(stream: AvVideo, pictures: int, tracks: int) -> Iterator[str]:
    """What else of this file a person might have wanted."""
    if pictures > 1:
        yield f"{pictures} video streams: the first, stream {stream.index}, is taken"
    if tracks > 1:
        yield f"{tracks} sound tracks: where sound is kept or made anew, it is the first"


def _positive(level: int | None) -> int | None:
    return level if level is not None and level > 0 else None  # FFmpeg's "unknown" is -99


def _body_notes(head: _Head, body: _Body) -> Iterator[str]:
    if body.dropped:
        yield f"edit list drops {body.dropped} frames"
    if head.lost:
        yield f"{head.lost} frames at the start cannot be shown: their key frame is missing or broken"
    if body.scan is not head.scan:
        yield "progressive at first, interlaced further on: taken as interlaced"
    if not body.cadence.constant:
        yield "variable frame rate"

"""Files whose container or sound breaks one rule around a legal video stream."""

from __future__ import annotations

import base64

from support.corpus.case import Shelf
from support.corpus.clips import H264, HEVC, MPEG2

CONTAINERS = Shelf()
_add, _warn = CONTAINERS.add, CONTAINERS.warn

FAST = "-movflags +faststart"
_SRT = base64.b64encode(b"1\n00:00:00,000 --> 00:00:00,300\nspoken\n").decode()
_NOISE = "-af aeval=exprs=" + "|".join(f"random({n})" for n in range(6)) + ":c=5.1,aformat=channel_layouts=5.1"

TWO_PROGRAMS = H264.but(muxer="ts", sound="-c:a aac -ac 2", options="-map 0 -map 1 -program st=0 -program st=1")

# container
_add("container-avi", "H.264 in AVI", H264.but(muxer="-f avi"), "102", "container.format")
_add("container-mkv", "H.264 in Matroska", H264.but(muxer="-f matroska"), "104", "container.format")
_add(
    "container-mkv-hevc",
    "HEVC in Matroska",
    HEVC.but(muxer="-f matroska", options="-tag:v 0"),
    "107",
    "container.format",
)
_add("container-mov", "H.264 in QuickTime", H264.but(muxer=f"-f mov {FAST}"), "102", "container.format")
_add("container-program-stream", "H.264 in an MPEG program stream", H264.but(muxer="-f vob"), "102", "container.format")
_add("container-flv", "H.264 in FLV", H264.but(muxer="-f flv"), "102", "container.format")
_add("container-elementary", "a raw H.264 stream", H264.but(muxer="-f h264"), "102", "container.format")
_add("container-elementary-hevc", "a raw HEVC stream", HEVC.but(muxer="-f hevc"), "107", "container.format")
_warn("container-moov-last", "moov behind the media", H264.but(muxer="-f mp4"), "102", "container.moov")
_warn(
    "container-fragmented",
    "a fragmented MP4",
    H264.but(muxer="-f mp4 -movflags +frag_keyframe+empty_moov"),
    "102",
    "container.fragmented",
)
_warn(
    "container-edit-list",
    "an edit list that hides three frames",
    H264.but(source=H264, inputs="-ss 0.09", frames=7),
    "102",
    "container.edit_list",
)
_warn(
    "container-hev1",
    "sample entry hev1",
    HEVC.but(options="-tag:v hev1"),
    "107",
    "container.sample_entry.in_band",
)
_add(
    "container-two-videos",
    "two video streams",
    H264.but(source=H264, options="-map 0 -map 0"),
    "102",
    "container.video_streams",
)
_warn(
    "container-subtitle",
    "a subtitle stream",
    H264.but(source=H264, inputs=f"-f srt -i data:text/plain;base64,{_SRT}", options="-map 0 -map 1 -c:s mov_text"),
    "102",
    "container.streams",
)

_add(
    "container-m2ts",
    "packets of 192 bytes, as camcorders write",
    H264.but(muxer="-f mpegts -mpegts_m2ts_mode 1"),
    "102",
    "container.packets",
)
_add("container-two-programs", "two programs, one with sound", TWO_PROGRAMS, "102", "container.programs")

# sound beside H.264 and HEVC
_add("audio-aac-44100", "AAC of 44.1 kHz", H264.but(sound="-c:a aac -ac 2 -ar 44100"), "102", "audio.rate")
_add("audio-aac-96000", "AAC of 96 kHz", HEVC.but(sound="-c:a aac -ac 2 -ar 96000"), "107", "audio.rate")
_add("audio-aac-mono", "AAC of one channel", H264.but(sound="-c:a aac -ac 1"), "102", "audio.channels")
_add("audio-aac-quad", "AAC of four channels", H264.but(sound="-c:a aac -ac 4"), "104", "audio.channels")
_add(
    "audio-aac-fast",
    "AAC of more than 640 kbit/s",
    H264.but(sound=f"-c:a aac -b:a 1200k {_NOISE}"),
    "102",
    "audio.bit_rate",
)
_add(
    "audio-aac-six",
    "AAC of six channels without low frequencies",
    H264.but(sound="-c:a aac -af aformat=channel_layouts=6.0"),
    "102",
    "audio.layout",
)
_add("audio-opus", "Opus in MP4", H264.but(sound="-c:a libopus -ac 2"), "102", "audio.format")
_add("audio-flac", "FLAC in MP4", H264.but(sound="-c:a flac -ac 2 -strict -2"), "102", "audio.format")
_add("audio-eac3", "E-AC-3 in a transport stream", H264.but(muxer="ts", sound="-c:a eac3 -ac 2"), "102", "audio.format")
_add("audio-ac3-mp4", "AC-3 in MP4", H264.but(sound="-c:a ac3 -ac 2"), "102", "audio.container")
_add("audio-pcm-mp4", "LPCM in MP4", H264.but(sound="-c:a pcm_s16le -ac 2"), "102", "audio.container")
_add(
    "audio-mp3-24000",
    "MP3 of 24 kHz",
    H264.but(muxer="ts", sound="-c:a libmp3lame -ac 2 -ar 24000"),
    "102",
    "audio.rate",
)
_add(
    "audio-mp2-mono",
    "MPEG-1 Layer II of one channel",
    H264.but(muxer="ts", sound="-c:a mp2 -ac 1"),
    "102",
    "audio.channels",
)

# sound beside MPEG-2
_add("audio-mpeg2-aac", "AAC beside MPEG-2", MPEG2.but(muxer="ts", sound="-c:a aac -ac 2"), "100", "audio.format")
_add("audio-mpeg2-mp2", "MPEG-1 Layer II beside MPEG-2", MPEG2.but(sound="-c:a mp2 -ac 2"), "100", "audio.format")
_add("audio-mpeg2-ac3", "AC-3 beside MPEG-2", MPEG2.but(sound="-c:a ac3 -ac 2"), "100", "audio.format")
_add(
    "audio-mpeg2-mp3-vbr",
    "MP3 of variable bit rate beside MPEG-2",
    MPEG2.but(
        frames=25, muxer="-f vob", sound="-c:a libmp3lame -q:a 4 -ac 2 -af volume='if(lt(t,0.5),0,1)':eval=frame"
    ),
    "100",
    "audio.constant",
)

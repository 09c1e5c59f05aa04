"""Two fields are one frame, judged by FFmpeg's own full decode."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from common.bitstream import h264
from common.bitstream.bits import BitReader, unescaped
from common.bitstream.nal import annex_b
from common.media import Description, Scan
from workers import encode
from workers.describe import describe

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Studio


def shown(path: Path) -> int:
    """Frames that FFmpeg decodes."""
    argv = [encode.ffmpeg_program(), "-hide_banner", "-i", str(path), "-map", "0:v", "-fps_mode", "passthrough"]
    log = subprocess.run([*argv, "-f", "null", "-"], capture_output=True, text=True, check=True).stderr
    return int(re.findall(r"frame=\s*(\d+)", log)[-1])


def seen(path: Path) -> Description:
    return describe(path, path.suffix)


@pytest.mark.parametrize("name", ["a.m2v", "a.mp4"])
def test_two_mpeg2_field_pictures_are_one_frame(name: str, studio: Studio) -> None:
    source = studio.make("p.m2v", "testsrc2=s=160x64:r=25:d=0.8", "-c:v", "mpeg2video", "-g", "1")
    path = fielded(studio, mpeg2_fields(source.read_bytes()), "mpegvideo", "f.m2v", name)
    video = seen(path).video
    assert (video.frame_count, video.height, video.scan) == (shown(path), 128, Scan.TOP_FIELD_FIRST)
    assert (video.frame_count, video.frame_rate, video.constant_rate) == (10, 25, True)


@pytest.mark.parametrize("name", ["a.264", "a.mp4", "a.ts"])
def test_two_h264_field_pictures_are_one_frame(name: str, studio: Studio) -> None:
    words = ("-c:v", "libx264", "-profile:v", "main", "-x264-params", "cabac=0:keyint=1:bframes=0:threads=1:slices=1")
    source = studio.make("p.264", "testsrc2=s=160x64:r=50:d=0.4", "-pix_fmt", "yuv420p", *words)
    path = fielded(studio, h264_fields(source.read_bytes()), "h264", "f.264", name)
    video = seen(path).video
    assert (video.frame_count, video.height, video.scan) == (shown(path), 128, Scan.TOP_FIELD_FIRST)
    assert (video.frame_count, video.constant_rate) == (10, True)


def fielded(studio: Studio, stream: bytes, demuxer: str, raw_name: str, name: str) -> Path:
    """A field-coded elementary stream, or the same in a container."""
    raw = studio.folder / raw_name
    raw.write_bytes(stream)
    if Path(name).suffix == raw.suffix:
        return raw
    studio.ffmpeg("-fflags", "+genpts", "-f", demuxer, "-i", raw, "-c", "copy", studio.folder / name)
    return studio.folder / name


def mpeg2_fields(stream: bytes) -> bytes:
    """Pairs of intra pictures of a progressive MPEG-2 stream become the two fields of frames of twice the height.

    Intra macroblocks of field pictures have the syntax of those in frame pictures with frame_pred_frame_dct 1 (6.2.5.1).
    """
    parts = re.split(b"(?=\0\0\1)", stream)
    out = bytearray()
    pictures = 0
    for part in parts:
        unit = bytearray(part)
        code, body = unit[3] if len(unit) > 3 else None, 4
        if code in (0xB3, 0xB8) and pictures:
            continue  # one sequence and one group, at the start
        if code == 0xB5 and unit[body] >> 4 == 1 and pictures:
            continue
        if code == 0xB3:
            size = int.from_bytes(unit[4:7]) & 0xFFF000 | 2 * (int.from_bytes(unit[4:7]) & 0xFFF)
            unit[4:7] = size.to_bytes(3)
        elif code == 0xB5 and unit[body] >> 4 == 1:
            unit[body + 1] &= ~0x08  # progressive_sequence
        elif code == 0x00:
            rest = int.from_bytes(unit[4:6]) & 0x3F
            unit[4:6] = ((pictures // 2) << 6 | rest).to_bytes(2)  # both fields have the frame's temporal_reference
            pictures += 1
        elif code == 0xB5 and unit[body] >> 4 == 8:
            structure = 1 + (pictures - 1) % 2
            unit[body + 2] = unit[body + 2] & ~0x03 | structure
            unit[body + 3] &= ~0xC3  # top_field_first, frame_pred_frame_dct, repeat_first_field, chroma_420_type
            unit[body + 4] &= ~0x80  # progressive_frame
        out += unit
    return bytes(out)


def h264_fields(stream: bytes) -> bytes:
    """Pairs of IDR pictures of a progressive CAVLC stream (one slice each, no B frames) become the fields of a frame."""
    pictures = 0
    out = bytearray()
    for nal in annex_b(stream):
        kind = h264.nal_type(nal)
        if kind == h264.Nal.SPS:
            sps = h264.parse_sps(nal)
            if not out:
                out += _unit(nal[0], _field_sps(nal))
        elif kind == h264.Nal.PPS and not pictures:
            out += _unit(nal[0], unescaped(nal[1:]))
        elif kind == h264.Nal.IDR:
            bottom = pictures % 2 == 1
            out += _unit(nal[0] & 0xE0 | (1 if bottom else 5), _field_slice(nal, sps, bottom, pictures // 2))
            pictures += 1
    return bytes(out)


def _field_sps(nal: bytes) -> bytes:
    data = unescaped(nal[1:])
    bits = BitReader(data)
    bits.skip(24)
    for _ in range(3):  # sps id, log2_max_frame_num, pic_order_cnt_type 2
        last = bits.ue()
    assert last == 2, "encode without B frames"
    bits.ue()
    bits.skip(1)
    bits.ue()
    bits.ue()
    assert bits.flag(), "frame_mbs_only_flag"
    text = _text(data)
    at = bits.position
    return _bytes(
        text[: at - 1] + "00" + "1" + text[at + 1 :]
    )  # not frame_mbs_only, not adaptive, direct_8x8_inference


def _field_slice(nal: bytes, sps: h264.Sps, bottom: bool, frame: int) -> bytes:
    data = unescaped(nal[1:])
    bits = BitReader(data)
    for _ in range(3):
        bits.ue()
    bits.u(sps.frame_num_bits)
    start = _text(data)[: bits.position]
    bits.ue()  # idr_pic_id
    bits.skip(2)  # dec_ref_pic_marking of an IDR picture
    rest = _text(data)[bits.position :]
    if bottom:
        return _bytes(start + "11" + "0" + rest)  # a reference without marking commands
    return _bytes(start + "10" + _golomb(frame % 2) + "00" + rest)


def _text(data: bytes) -> str:
    """Bits up to and with the stop bit."""
    return "".join(f"{byte:08b}" for byte in data).rstrip("0")


def _bytes(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def _golomb(value: int) -> str:
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def _unit(header: int, payload: bytes) -> bytes:
    return b"\0\0\0\1" + bytes([header]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", payload)


@pytest.mark.parametrize(("codec", "progressive"), [("mpeg2video", 70), ("libx264", 40)])
def test_fields_further_on_make_a_video_interlaced(codec: str, progressive: int, studio: Studio) -> None:
    """MPEG-2 says so in every picture, however far on; of H.264 with mixed macroblocks the decoder tells, in the first 64."""
    path = studio.folder / "mixed"
    frames = ("-f", "lavfi", "-i", f"testsrc2=s=160x128:r=25:d={progressive / 25}")
    fields = ("-f", "lavfi", "-i", "testsrc2=s=160x128:r=50:d=2,interlace")
    plain = ("-x264-params", "fake-interlaced=1") if codec == "libx264" else ()
    raw = ("-f", "h264" if codec == "libx264" else "mpeg2video")
    studio.ffmpeg(*frames, "-c:v", codec, *plain, *raw, studio.folder / "first")
    studio.ffmpeg(*fields, "-c:v", codec, "-flags", "+ildct+ilme", *raw, studio.folder / "then")
    path.write_bytes(b"".join((studio.folder / part).read_bytes() for part in ("first", "then")))
    video = describe(path, ".264" if codec == "libx264" else ".m2v").video
    assert (video.scan, video.frame_count) == (Scan.TOP_FIELD_FIRST, shown(path))

"""The frames of one DICOM file, one at a time: JPEG frames as they are where FFmpeg reads them rightly, else decoded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from common.dicom.pixel_stream import Fragment, Header, frame_fragments, native_extent, read_header
from common.errors import InputError, TruncatedSource, UnreadableSource
from workers.frames.decoders import decoder
from workers.frames.jpeg import BASELINE, EXTENDED, ffmpeg_format, parse_head, whole
from workers.frames.layout import NATIVE, Layout, read_layout
from workers.frames.parallel import Bytes, in_order, processes
from workers.frames.render import BT601, Form, decoded_form, renderer, shown_as_stored

Extent = tuple[Fragment, ...]

_LARGEST_GROWTH = 2  # no codec here doubles what it compresses
CLOCK = Fraction(1, 1_000_000)
"""Of frames with times of their own: finer than any Frame Time Vector."""

_LARGEST_HEAD_BYTES = 1 << 20  # its own headers and profiles come on top


def look(path: Path) -> tuple[Layout, Form]:
    """Layout and form of a file's frames, decided by its header and its first frame's markers.

    Raises:
        UnreadableSource, TruncatedSource, UnsupportedSource: these frames cannot be had.
    """
    header = read_header(path)
    layout = read_layout(header)
    found = extents(header, layout)
    decoder(layout)
    if layout.syntax in (BASELINE, EXTENDED):
        with path.open("rb") as file, naming(0, layout):
            form = _jpeg_form(header, layout, frame_bytes(file, found[0], layout))
        if form is not None:
            return layout, form
    return layout, decoded_form(layout)


def feed(path: Path, form: Form, out: BinaryIO, first: int = 0, last: int | None = None) -> None:
    """Write the frames from ``first`` to ``last`` (exclusive; None: to the end) in ``form`` to ``out``, holding one at a time.

    Raises:
        TruncatedSource, UnreadableSource: a frame is not whole or not like the others; the message names it, from 1.
    """
    for frame in formed(path, form, first, last):
        out.write(frame)


def formed(path: Path, form: Form, first: int = 0, last: int | None = None) -> Iterator[Bytes]:
    """The frames from ``first`` to ``last`` (exclusive; None: to the end) in ``form``; slow codecs are decoded by all cores.

    Raises: like feed.
    """
    header = read_header(path)
    layout = read_layout(header)
    make = _passing(layout, form) if form.passed_through else _decoding(header, layout, form)
    found = extents(header, layout)

    with path.open("rb") as file:

        def one(number: int) -> Bytes:
            with naming(number, layout):
                return make(number, frame_bytes(file, found[number], layout))

        count = 1 if form.passed_through else processes(layout)
        yield from in_order(one, range(len(found))[first:last], count, "decoding the frames")


def feed_picked(path: Path, form: Form, numbers: tuple[int, ...], out: BinaryIO) -> None:
    """Write these frames alone (from 0, in this order) in ``form`` to ``out``; the others are not even read.

    Raises: like feed.
    """
    header = read_header(path)
    layout = read_layout(header)
    make = _passing(layout, form) if form.passed_through else _decoding(header, layout, form)
    found = extents(header, layout)
    with path.open("rb") as file:
        for number in numbers:
            with naming(number, layout):
                frame = make(number, frame_bytes(file, found[number], layout))
            out.write(frame)


def feed_timed(path: Path, form: Form, times_ms: tuple[float, ...], out: BinaryIO) -> None:
    """Like ``feed``, in a NUT container that says when each frame is shown: ``times_ms`` after the first.

    Raises: like feed.
    """
    import av

    layout = read_layout(read_header(path))
    with av.open(out, "w", format="nut") as nut:
        stream = nut.add_stream("mjpeg" if form.passed_through else "rawvideo", rate=25)
        stream.width, stream.height = layout.columns, layout.rows
        stream.pix_fmt = form.pixel_format
        stream.time_base = stream.codec_context.time_base = CLOCK
        for number, frame in enumerate(formed(path, form)):
            packet = av.Packet(bytes(frame))
            packet.stream, packet.time_base = stream, CLOCK
            packet.pts = packet.dts = round(times_ms[number] * CLOCK.denominator / 1000)
            packet.is_keyframe = True
            nut.mux(packet)


def _jpeg_form(header: Header, layout: Layout, first: bytes) -> Form | None:
    """The form that FFmpeg's own JPEG decoder gives, or None where it would misread the colour."""
    head = parse_head(first)
    check_like(layout, (head.width, head.height), len(head.component_ids))
    pixel_format = ffmpeg_format(head, layout.photometric)
    if pixel_format is None or (pixel_format == "gray" and not shown_as_stored(layout, header.dataset)):
        return None
    if pixel_format.startswith("yuv"):
        return Form(pixel_format, full_range=True, matrix=BT601, passed_through=True)
    return Form(pixel_format, passed_through=True)


def _passing(layout: Layout, form: Form) -> Callable[[int, bytes], bytes | memoryview]:
    def make(_number: int, data: bytes) -> memoryview:
        head = parse_head(data)
        check_like(layout, (head.width, head.height), len(head.component_ids))
        if ffmpeg_format(head, layout.photometric) != form.pixel_format:
            raise UnreadableSource("its JPEG coding differs from the first frame's")
        return whole(data)

    return make


def _decoding(header: Header, layout: Layout, form: Form) -> Callable[[int, bytes], bytes | memoryview]:
    decode, render = decoder(layout), renderer(layout, header.dataset, form)
    return lambda number, data: render(number, decode(data))


def extents(header: Header, layout: Layout) -> list[Extent]:
    """Where each frame lies in the file.

    Raises:
        TruncatedSource, UnreadableSource: not all of them can be found.
    """
    if layout.syntax in NATIVE:
        start, _ = native_extent(header)
        length = layout.native_bytes
        return [(Fragment(start + number * length, length),) for number in range(layout.frames)]
    if not header.fragments:
        raise UnreadableSource("the pixel data should be encapsulated and holds no fragment")
    return frame_fragments(header)


def frame_bytes(file: BinaryIO, extent: Extent, layout: Layout) -> bytes:
    """One frame as it is stored.

    Raises:
        TruncatedSource, UnreadableSource: it is not all there, or larger than any codec makes it.
    """
    length = sum(fragment.length for fragment in extent)
    if length > _LARGEST_GROWTH * layout.native_bytes + _LARGEST_HEAD_BYTES:
        raise UnreadableSource(f"{length} bytes for {layout.size} pixels")
    parts = []
    for fragment in extent:
        parts.append(os.pread(file.fileno(), fragment.length, fragment.offset))  # processes share the file's position
    if sum(map(len, parts)) < length:
        raise TruncatedSource("the file ends inside it")
    return b"".join(parts)


def check_like(layout: Layout, size: tuple[int, int], samples: int) -> None:
    """Refuse a frame of another size (width, height) or with other components. Raises: UnreadableSource."""
    if size != (layout.columns, layout.rows) or samples != layout.samples:
        raise UnreadableSource(
            f"it is {size[0]}×{size[1]} with {samples} components, the header says {layout.size} with {layout.samples}"
        )


@contextmanager
def naming(number: int, layout: Layout) -> Iterator[None]:
    """Errors inside tell which frame they are about."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"frame {number + 1} of {layout.frames}: {error.message}", hint=error.hint) from error

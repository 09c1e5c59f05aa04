"""GDCM on single images in memory: the coder where no better one is installed, and the second opinion where FFmpeg has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from common.errors import InternalFault

if TYPE_CHECKING:
    from workers.frames.decoders import Samples
    from workers.frames.stored import Shape

_NATIVE = "1.2.840.10008.1.2"


def encode(values: Samples, shape: Shape, transfer_syntax_uid: str) -> bytes:
    """One image, coded losslessly.

    Raises:
        InternalFault: GDCM declines.
    """
    import gdcm

    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(values.tobytes() + b"\0" * (values.nbytes % 2))
    writer = gdcm.ImageWriter()  # owns the image: one made in Python is freed twice
    image = _described(writer.GetImage(), shape, values.dtype.itemsize, _NATIVE)
    image.SetDataElement(element)
    changer = gdcm.ImageChangeTransferSyntax()
    changer.SetTransferSyntax(_syntax(transfer_syntax_uid))
    changer.SetInput(image)
    if not changer.Change():
        raise InternalFault("GDCM does not code these samples")
    output = changer.GetOutput()
    fragments = output.GetDataElement().GetSequenceOfFragments()
    if fragments is None or fragments.GetNumberOfFragments() != 1:
        raise InternalFault("GDCM coded one image into several fragments")
    return _bytes(fragments.GetFragment(0).GetByteValue().GetBuffer())


def decode(data: bytes, shape: Shape, transfer_syntax_uid: str) -> Samples:
    """The samples of one coded image, as bit patterns.

    Raises:
        InternalFault: GDCM cannot read it.
    """
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data + b"\0" * (len(data) % 2))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = _described(gdcm.Image(), shape, shape.dtype.itemsize, transfer_syntax_uid)
    image.SetDataElement(element)
    pixels = image.GetBuffer()
    if pixels is None:
        raise InternalFault("GDCM cannot read the coded frame")
    return cast("Samples", np.frombuffer(_bytes(pixels), shape.dtype).reshape(shape.array))


def _described(image: Any, shape: Shape, item_bytes: int, transfer_syntax_uid: str) -> Any:
    import gdcm

    image.SetNumberOfDimensions(2)
    image.SetDimensions((shape.columns, shape.rows, 1))
    model = gdcm.PhotometricInterpretation.GetPIType("RGB" if shape.samples == 3 else "MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(model))
    image.SetTransferSyntax(_syntax(transfer_syntax_uid))
    image.SetPixelFormat(gdcm.PixelFormat(shape.samples, 8 * item_bytes, shape.stored, shape.stored - 1, 0))
    if shape.samples == 3:
        image.SetPlanarConfiguration(0)
    return image


def _syntax(uid: str) -> Any:
    import gdcm

    return gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(uid))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # GDCM gives char* as str

"""Import pydicom without the decoders that it looks for: whoever judges headers decodes no pixel."""

from __future__ import annotations

import sys

DECODERS = ("gdcm", "PIL", "openjpeg", "libjpeg", "jpeg_ls", "pylibjpeg")
"""What pydicom imports at once where it is installed; gdcm alone takes 18 MB."""


def import_pydicom() -> None:
    """Load pydicom's reader; in a process that has done so by this, pydicom decodes no compressed pixel data.

    Nothing is changed where pydicom is loaded already.
    """
    if "pydicom" in sys.modules:
        return
    absent = [name for name in DECODERS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: "not to be found" (importlib)
    try:
        import pydicom.filereader  # noqa: F401
    finally:
        for name in absent:
            del sys.modules[name]

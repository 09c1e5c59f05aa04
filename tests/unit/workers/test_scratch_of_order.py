"""The temporary folder of one order."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from common.errors import EnvironmentFault
from common.settings import Settings
from workers.build import Worker


def test_a_full_scratch_disk_is_the_machines_fault_and_not_ours(tmp_path: Path) -> None:
    worker = Worker(Settings(scratch_dir=tmp_path))
    with pytest.raises(EnvironmentFault, match="scratch disk is full"), worker.scratch("o1"):
        Path("/dev/full").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_another_error_of_the_system_stays_what_it_is(tmp_path: Path) -> None:
    worker = Worker(Settings(scratch_dir=tmp_path))
    with pytest.raises(OSError, match="in the way") as caught, worker.scratch("o1"):
        raise OSError(errno.EEXIST, "in the way")
    assert caught.value.errno == errno.EEXIST

"""Workers share a scratch disk: each has a folder of its own, and the dead leave nothing for long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from workers.scratch import own_scratch

HOLDER = """
import sys, time
from pathlib import Path
from workers.scratch import own_scratch
with own_scratch(Path(sys.argv[1])) as own:
    (own / "order").mkdir()
    (own / "order" / "half").write_bytes(b"x")
    print(own, flush=True)
    time.sleep(600)
"""


def holder(shared: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another worker at work, and its folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(shared)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_worker_that_ends_takes_its_folder_along(tmp_path: Path) -> None:
    with own_scratch(tmp_path / "scratch") as own:
        (own / "file").write_bytes(b"x")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_a_killed_worker_left_goes_with_the_next_start_and_what_a_live_one_has_stays(tmp_path: Path) -> None:
    (dead, left), (alive, kept) = holder(tmp_path), holder(tmp_path)
    try:
        dead.kill()
        dead.communicate()
        assert (left / "order" / "half").exists()
        with own_scratch(tmp_path) as own:
            assert set(tmp_path.iterdir()) == {own, kept}
            assert (kept / "order" / "half").exists()
    finally:
        alive.kill()
        alive.communicate()


def test_files_beside_the_workers_folders_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(b"x")
    with own_scratch(tmp_path):
        assert (tmp_path / "notes").exists()

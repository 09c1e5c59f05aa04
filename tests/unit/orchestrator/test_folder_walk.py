"""Walking a source: every file once, nothing for ever, nothing silently left out."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.errors import PolicyError, UnreadableSource
from orchestrator.ingest.folder import find
from orchestrator.ingest.found import Found
from orchestrator.ingest.sources import parse_source


def tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def names(root: Path, **options: object) -> list[str]:
    return [each.relative for each in find(root, **options)]  # type: ignore[arg-type]


def problems(root: Path) -> dict[str, str]:
    return {each.relative: each.problem.message for each in find(root) if each.problem}


def test_files_come_sorted_each_folder_before_its_subfolders(tmp_path: Path) -> None:
    tree(tmp_path, "b/2.mp4", "b/1.mp4", "a/x/1.mp4", "z.mp4", "c.mp4")
    assert names(tmp_path) == ["c.mp4", "z.mp4", "a/x/1.mp4", "b/1.mp4", "b/2.mp4"]


def test_a_single_file_is_a_source(tmp_path: Path) -> None:
    tree(tmp_path, "a.mp4")
    (only,) = find(tmp_path / "a.mp4")
    assert only == Found(tmp_path / "a.mp4", 1, (tmp_path / "a.mp4").stat().st_mtime_ns, "a.mp4")


def test_a_relative_source_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "v/a.mp4")
    monkeypatch.chdir(tmp_path)
    assert [each.path for each in find(Path("v"))] == [tmp_path / "v" / "a.mp4"]


def test_a_source_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be found"):
        list(find(tmp_path / "none"))


def test_what_is_left_out_is_counted_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, ".hidden", ".folder/a.mp4", "DICOMDIR", "out/a.dcm", "a.mp4")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # a socket's path must be short
        server.bind("socket")
        ignored: Counter[str] = Counter()
        assert names(tmp_path, exclude=[tmp_path / "out"], ignored=ignored) == ["a.mp4"]
    assert ignored == {"hidden": 2, "DICOMDIR": 1, "destination or state folder": 1, "neither file nor folder": 2}


def test_a_source_that_is_the_destination_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="also the destination"):
        list(find(tmp_path, exclude=[tmp_path]))


def test_an_excluded_folder_is_known_by_any_name(tmp_path: Path) -> None:
    tree(tmp_path, "source/a.mp4", "out/b.dcm")
    (tmp_path / "source" / "link").symlink_to(tmp_path / "out")
    assert names(tmp_path / "source", exclude=[tmp_path / "out"]) == ["a.mp4"]


def test_an_exclusion_that_does_not_exist_yet_excludes_nothing(tmp_path: Path) -> None:
    tree(tmp_path, "a.mp4")
    assert names(tmp_path, exclude=[tmp_path / "later"]) == ["a.mp4"]


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    tree(tmp_path, "out/a.mp4")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.mp4").symlink_to(tmp_path / "out" / "a.mp4")
    assert names(tmp_path / "in") == ["link.mp4"]


def test_a_link_out_of_the_source_is_followed_once(tmp_path: Path) -> None:
    tree(tmp_path, "elsewhere/a.mp4", "in/b.mp4")
    for name in ("one", "two"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "in") == ["b.mp4", "one/a.mp4"]


def test_a_link_into_the_source_is_not_followed(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.mp4")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert names(tmp_path) == ["a/1.mp4"]


def test_links_in_a_circle_outside_come_to_an_end(tmp_path: Path) -> None:
    tree(tmp_path, "x/1.mp4", "y/2.mp4", "in/0.mp4")
    (tmp_path / "x" / "y").symlink_to(tmp_path / "y")
    (tmp_path / "y" / "x").symlink_to(tmp_path / "x")
    (tmp_path / "in" / "x").symlink_to(tmp_path / "x")
    (tmp_path / "in" / "above").symlink_to(tmp_path)
    seen = names(tmp_path / "in")
    assert {"0.mp4", "x/1.mp4"} <= set(seen)
    assert len(seen) < 12


def test_a_dangling_link_and_a_link_to_itself_are_reported(tmp_path: Path) -> None:
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "gone")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    told = problems(tmp_path)
    assert set(told) == {"dangling.mp4", "loop.mp4"}
    assert all(message.startswith("the file cannot be reached") for message in told.values())


def test_a_name_that_is_no_utf8_is_reported_and_not_lost(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))).write_bytes(b"x")
    (told,) = find(tmp_path)
    assert told.relative == "caf\\xe9.mp4"
    assert isinstance(told.problem, UnreadableSource)
    assert "Rename" in told.problem.hint
    told.relative.encode()
    str(told.path).encode()


def test_no_problem_tells_a_path(tmp_path: Path) -> None:
    tree(tmp_path, "in/Doe^Jane/a.mp4")
    (tmp_path / "in" / "Doe^Jane" / "b.mp4").symlink_to("gone")
    (told,) = problems(tmp_path / "in").values()
    assert "Doe" not in told
    assert str(tmp_path) not in told


def test_a_very_deep_tree_meets_no_recursion_limit(tmp_path: Path) -> None:
    here, depth = os.open(tmp_path, os.O_RDONLY), 1050
    for _ in range(depth):  # step by step: the whole path is longer than one system call takes
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert list(find(tmp_path)) == []
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


WALK = """
import json, sys
from pathlib import Path
from orchestrator.ingest.folder import find
print(json.dumps({f.relative: f.problem.message if f.problem else None for f in find(Path(sys.argv[1]))}))
"""


@pytest.mark.peer("setpriv")
def test_what_may_not_be_read_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    tree(tmp_path, "open.mp4", "closed.mp4", "room/a.mp4")
    (tmp_path / "closed.mp4").chmod(0)
    (tmp_path / "room").chmod(0)
    # root reads everything, whatever the mode says: the walk runs without that power
    drop = [
        "setpriv",
        "--bounding-set",
        "-dac_override,-dac_read_search",
        "--inh-caps",
        "-dac_override,-dac_read_search",
    ]
    prefix = drop if os.geteuid() == 0 else []
    argv = [*prefix, sys.executable, "-c", WALK, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    (tmp_path / "room").chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "open.mp4": None,
        "closed.mp4": "no read permission for the user running the farm",
        "room/": "the folder cannot be listed: Permission denied",
    }


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a/b", "a/b"),
        ("/a b", "/a b"),
        ("file:///a%20b", "/a b"),
        ("FILE://localhost/a", "/a"),
        ("file:///a?b", "/a?b"),
    ],
)
def test_a_source_is_a_path_or_a_file_uri(text: str, path: str) -> None:
    assert parse_source(text).path == Path(path)


@pytest.mark.parametrize(
    "text",
    ["", "  ", "dicom://A@h", "dicomweb+https://h/x?.retrieve=get", "http://h/x", "file://other/a"],
)
def test_any_other_source_is_refused_with_advice(text: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_source(text)
    assert refused.value.hint


PART = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8
)


@hypothesis_settings(deadline=None, max_examples=30)
@given(st.sets(PART.map(lambda part: f"f{part}"), max_size=8))
def test_every_name_that_the_file_system_takes_is_found(
    tmp_path_factory: pytest.TempPathFactory, parts: set[str]
) -> None:
    root = tmp_path_factory.mktemp("names")
    tree(root, *parts)
    assert {each.relative for each in find(root)} == parts
    shutil.rmtree(root)

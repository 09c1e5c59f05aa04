"""Parts of a production site are killed, frozen, flushed, restarted and filled at random: nothing is lost, nothing is stored twice.

``make chaos`` takes 200 items; the short form is part of every test run. The seed is printed; repeat it by
CINEFARM_CHAOS_SEED=… CINEFARM_CHAOS_ITEMS=….
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter

import pydicom
import pytest
from support.chaos import Chaos
from support.desk import Desk, ffmpeg
from support.postgres import PostgresServer, postgres  # noqa: F401 a fixture
from support.s3 import S3Server
from support.site import Site, site, wait_for

from common.leases import ENDED, RETURNED, connect

SHORT = 24
ITEMS = int(os.environ.get("CINEFARM_CHAOS_ITEMS", SHORT))
SEED = int(os.environ.get("CINEFARM_CHAOS_SEED") or random.SystemRandom().randrange(10_000))
LONG = ITEMS > SHORT
ENCODED_OF = 3
"""Every third item has to be encoded, the others are rewrapped: short orders and longer ones."""

STRIKES = ITEMS // 2
MORE = 6
"""Items that are added to the job when it ends before everything has happened."""

BETWEEN = (0.3, 4.0) if LONG else (0.1, 0.8)
PAUSE = (25.0, 35.0) if LONG else (8.0, 10.0)
MISSES = 12
"""How often one strike may find nothing to strike: five seconds each."""

MENDING_RUNS = 3
"""Four kills in a row set an item aside, with reason; a person tries it again."""

END_SECONDS = 120.0 + 3.0 * ITEMS
CLEAN_SECONDS = 60.0

pytestmark = [
    pytest.mark.farm,
    pytest.mark.peer("postgres"),
    pytest.mark.peer("storescp"),
    pytest.mark.timeout(300 + 10 * ITEMS),
]


def fill(desk: Desk, first: int, count: int) -> None:
    """Items of two kinds, no two alike: the same pictures under another tag are other bytes."""
    clip, tape = desk.folder / "clip.mp4", desk.folder / "tape.avi"
    if not clip.exists():
        desk.camera("base.mp4").rename(clip)
        seconds, size = (6, "640x480") if LONG else (3, "480x360")
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds}", "-c:v", "mpeg4", "-q:v", "4", str(tape))
    for number in range(first, first + count):
        base = clip if number % ENCODED_OF else tape
        target = desk.file(f"{number}{base.suffix}")
        ffmpeg("-i", str(base), "-map", "0", "-c", "copy", "-metadata", f"comment={number}", str(target))


def endure(found: Site, job: str, chance: random.Random) -> tuple[Chaos, int]:
    """Let things happen, every kind at least once, then as chance has it; the job gets more items when it ends before."""
    chaos, items = Chaos(found, chance, PAUSE), ITEMS
    kinds = sorted(chaos.kinds)
    chance.shuffle(kinds)
    kinds += chance.choices(kinds, k=max(0, STRIKES - len(kinds)))
    for kind in kinds:
        time.sleep(chance.uniform(*BETWEEN))
        for _ in range(MISSES):
            if chaos.strike(kind):
                break
            if ended(found, job):  # else what it strikes comes later
                fill(found.desk, items, MORE)
                items += MORE
                assert submit(found) == job
    chaos.settle()
    return chaos, items


def submit(found: Site) -> str:
    places = [str(found.desk.out), found.archive.uri]
    return found.office.job(destinations=places, map="map.csv", profile="review")


def finish(found: Site, job: str) -> int:
    """Wait for the job's end; how often items that were set aside had to be tried again."""
    for again in range(MENDING_RUNS + 1):
        assert wait_for(lambda: ended(found, job), END_SECONDS, found.keep_alive), found.office.status(job)
        if set(found.office.status(job)["counts"]) == {"done"}:
            return again
        print(found.ask("SELECT reason, count(*) FROM items WHERE state <> 'done' GROUP BY reason"))  # noqa: T201
        assert found.office.run("retry", job).code == 0
    pytest.fail(f"not all done after {MENDING_RUNS} retries: {found.office.status(job)['counts']}")


def ended(found: Site, job: str) -> bool:
    rows = found.ask("SELECT state, count(*) FROM items WHERE job_id = :job GROUP BY state", job=job)
    listed = found.ask("SELECT listing FROM jobs WHERE id = :job", job=job)
    aside = {"done", "failed", "quarantined", "skipped", "cancelled"}
    return listed == [("listed",)] and {str(state) for state, _ in rows} <= aside


def test_every_item_is_done_exactly_once_whatever_dies(
    desk: Desk, s3: S3Server, request: pytest.FixtureRequest
) -> None:
    print(f"\nCINEFARM_CHAOS_SEED={SEED} CINEFARM_CHAOS_ITEMS={ITEMS}")  # noqa: T201 to repeat it
    server: PostgresServer = request.getfixturevalue("postgres")
    fill(desk, 0, ITEMS)
    desk.mapping()
    with site(desk, s3, server, reconcile_seconds="3", breaker_pause_seconds="2") as found:
        began = time.monotonic()
        job = submit(found)
        chaos, items = endure(found, job, random.Random(SEED))
        struck = time.monotonic() - began
        retries = finish(found, job)
        times = f"struck for {struck:.0f} s, {items} items ended after {time.monotonic() - began:.0f} s"
        print(f"{dict(chaos.happened)}; {times}, retries by hand: {retries}")  # noqa: T201
        assert set(chaos.happened) == set(chaos.kinds)
        assert_once_everywhere(found, items)
        assert_ledger_is_settled(found, job, items)
        assert wait_for(lambda: not orphans(found), CLEAN_SECONDS, found.keep_alive), orphans(found)
        assert wait_for(lambda: not left_in_broker(found), CLEAN_SECONDS, found.keep_alive), left_in_broker(found)
        assert set(found.stop()) == {0}
        assert found.survivors() == []
        assert [path for path in found.scratch.rglob("*") if path.is_file()] == []


def assert_once_everywhere(found: Site, items: int) -> None:
    """Counted at the destinations, not in the ledger."""
    uids = []
    for place in (sorted(found.desk.out.rglob("*.dcm")), sorted(found.archive.folder.iterdir())):
        sent = [str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in place]
        assert len(sent) == len(set(sent)) == items, place
        uids.append(set(sent))
    assert uids[0] == uids[1]
    assert [path for path in found.desk.out.rglob("*") if path.name.startswith(".")] == []


def assert_ledger_is_settled(found: Site, job: str, items: int) -> None:
    """No attempt is open, and the audit trail of each item leads to its end: done once, delivered once to each place."""
    states = {str(row[0]) for row in found.ask("SELECT DISTINCT state FROM attempts")}
    assert not {"queued", "running"} & states
    audit = found.office.run("audit", job, "--json")
    assert (audit.code, [line for line in audit.lines if line["type"] == "gap"]) == (0, [])
    ends: Counter[tuple[str, int | None]] = Counter(
        (line["item"], line["delivery"])
        for line in audit.lines
        if line["after"] == ("done" if line["delivery"] is None else "committed")
    )
    assert len(ends) == 3 * items, "one end an item, one a delivery"
    assert set(ends.values()) == {1}


def orphans(found: Site) -> list[str]:
    """Below results there is the evidence of done items; beside it the headers, the mapping and what searches learned."""
    digests = {str(row[0]) for row in found.ask("SELECT digest FROM items WHERE state = 'done'")}
    lost = []
    for key in found.store.keys(""):
        room, *rest = key.split("/")
        kept = room in ("headers", "mappings", "searches") or (
            room == "results" and rest[1] in digests and rest[-1] != "instance.dcm"
        )
        if not kept:
            lost.append(key)
    return lost


def left_in_broker(found: Site) -> list[str]:
    """Leases that somebody holds, and messages that nobody has taken."""
    redis = connect(found.broker.url)
    held = [key for key in redis.scan_iter("lease:*") if redis.get(key) not in (ENDED, RETURNED)]
    waiting = [key for key in ("describe", "cpu", "deliver", "orchestrator") if redis.llen(key)]
    return held + waiting + (["unacked"] if redis.hlen("unacked") else [])

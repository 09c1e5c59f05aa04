"""Whatever kills a worker, nothing that it started outlives it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.nodes import Plant, gone, running_plant, wait


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with running_plant(tmp_path) as plant:
        yield plant


@pytest.mark.parametrize("victims", [("main",), ("pool",), ("main", "pool")])
def test_a_long_encode_dies_with_its_worker(plant: Plant, victims: tuple[str, ...]) -> None:
    worker = plant.start()
    plant.send(plant.order("o1", plant.tape()))
    encoder = plant.encoder(worker)
    holder = encoder.parent()
    assert holder is not None
    offspring = psutil.Process(worker.pid).children(recursive=True)
    parts = {"main": psutil.Process(worker.pid), "pool": holder}
    for victim in victims:
        parts[victim].kill()
    assert gone(encoder, holder)
    if "main" in victims:
        assert gone(*offspring)


def test_a_worker_whose_pool_process_was_killed_takes_the_next_order(plant: Plant) -> None:
    worker = plant.start()
    plant.send(plant.order("o1", plant.tape()))
    holder = plant.encoder(worker).parent()
    assert holder is not None
    holder.kill()
    plant.send(plant.order("o2", plant.tape("short.avi", seconds=0.4, size="160x120")))
    assert plant.result("o2").failure is None
    wait(lambda: plant.events("pool_process_died"), "the news of the dead pool process")


def files_in_scratch(plant: Plant) -> list[Path]:
    return [path for path in plant.settings.scratch.rglob("*") if path.is_file()]


def test_what_a_killed_pool_process_left_in_the_scratch_folder_goes_with_it(plant: Plant) -> None:
    worker = plant.start()
    plant.send(plant.order("o1", plant.tape()))
    holder = plant.encoder(worker).parent()
    assert holder is not None
    wait(lambda: files_in_scratch(plant), "a temporary file")
    holder.kill()
    wait(lambda: not files_in_scratch(plant), "the end of the temporary files")

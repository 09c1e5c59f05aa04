"""How ``cinefarm migrate`` ends while archives have yet to prove what they took."""

from __future__ import annotations

from common.stages import State
from orchestrator.cli.proving import Foreground
from orchestrator.status import Progress


def seen(**counts: int) -> Progress:
    return Progress({State(name): count for name, count in counts.items()}, (), 0, 0)


def test_it_waits_for_archives_alone_and_for_so_long_only() -> None:
    moment = [0.0]
    over = Foreground(600.0, clock=lambda: moment[0])
    assert not over(seen(done=1, running=1, delivered=1))
    moment[0] = 1000.0
    assert not over(seen(done=2, delivered=1))
    moment[0] = 1500.0
    assert not over(seen(done=2, produced=1))  # an archive had lost it: it is sent again
    moment[0] = 1600.0
    assert not over(seen(done=2, delivered=1))
    moment[0] = 2199.0
    assert not over(seen(done=2, delivered=1))
    moment[0] = 2200.0
    assert over(seen(done=2, delivered=1))


def test_it_is_over_at_once_when_all_have_ended() -> None:
    assert Foreground(600.0)(seen(done=1, failed=1))

"""Hours of a node's life through faults, in half a minute. bench/endurance.py runs three days of it."""

from __future__ import annotations

from pathlib import Path

from host.endurance import Endurance, flat, plan


def test_three_hours_of_faults(tmp_path: Path) -> None:
    said: list[str] = []
    run = Endurance(tmp_path, speed=360, say=said.append)
    try:
        result = run.run(3, seed=3)
    finally:
        run.close()
    assert not result.problems, "\n".join([*result.problems, *said, str(result.figures)])
    assert len(said) >= 8 and result.figures["connections"] >= 4
    assert result.figures["messages to the node"] >= 350 and result.figures["log lines"] > 10


def test_every_kind_of_fault_comes_in_three_days() -> None:
    kinds = {fault.what for fault in plan(72, 1)}
    assert len(kinds) == 8 and len(plan(72, 1)) > 40


def test_a_heap_that_shrinks_is_found() -> None:
    assert not flat([(i / 6, 150_000 - i % 7 * 300) for i in range(60)])
    assert flat([(i / 6, 150_000 - i * 100) for i in range(60)])
    assert flat([(0, 1)])

"""Each kind of fault that the simulator can draw, alone and mixed: a run ends whole, and a plan repeats itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from ingest_bench import ENDPOINTS

from climkit_pipeline.simulator import FaultPlan
from climkit_pipeline.simulator.faults import PASSING

DAY = date(2026, 2, 20)
SMALL = {"sites": 1, "meters": 3}
MIXED = ",".join(f"{kind}=0.04" for kind in PASSING) + ",seed=9"
READINGS = ("meter_indices", "sensor_readings")


@pytest.fixture(scope="module")
def clean():
    """The lake of a run without faults: worked out by the first test that needs it."""
    return {}


def rehearse(bench, text, directory="rehearsal"):
    """The bench after as many runs as it takes to close the gaps that short answers left, and the faults met."""
    plan = replace(FaultPlan.parse(text), slow_seconds=0.01)
    one = bench(world=SMALL, directory=directory, server={"faults": plan})
    for _ in range(5):
        report = one.run(DAY)
        assert report.is_good
        assert one.landed() == []
        if {*one.states("meter_intervals", DAY), *one.states("site_intervals", DAY)} == {"complete"}:
            break
    return one, [(call.endpoint, call.subject, call.fault) for call in one.server.calls]


@pytest.mark.parametrize("text", [*(f"{kind}=0.4,seed=5" for kind in PASSING), MIXED], ids=[*PASSING, "mixed"])
def test_under_each_kind_of_fault_alone_and_mixed_the_lake_ends_as_without(bench, clean, text):
    """Tools in use never tried cut JSON again, and took answers without their last rows for whole ones."""
    if not clean:
        undisturbed = bench(world=SMALL, directory="clean")
        assert undisturbed.run(DAY).is_good
        clean |= undisturbed.meaning(coverage=False)
    one, met = rehearse(bench, text)
    found = one.meaning(coverage=False)
    for dataset, rows in clean.items():
        # Nobody promises the rhythm of readings, so a short answer of theirs shows only where a whole day lacks.
        if dataset not in READINGS or "short" not in text:
            assert found[dataset] == rows, dataset
    assert {fault for _, _, fault in met if fault} <= {part.partition("=")[0] for part in text.split(",")}
    assert any(endpoint in ENDPOINTS for endpoint, _, fault in met if fault), "no fault met a series"


def test_the_same_plan_and_seed_give_the_same_rehearsal(bench):
    """A rehearsal that went wrong is worth something only if it can be repeated."""
    first, again = (rehearse(bench, MIXED, directory=f"rehearsal-{number}")[1] for number in range(2))
    assert first == again
    assert len({fault for _, _, fault in first}) >= 4

"""A disk that is full or in the way, landed files that are damaged: said in one line, and nothing received is lost."""

from __future__ import annotations

import shutil
import subprocess
from datetime import date, timedelta

import pytest
from ingest_bench import ENDPOINTS

from climkit_pipeline.errors import LakeError

DAYS = date(2026, 2, 20), date(2026, 2, 22)
SMALL = {"sites": 1, "meters": 3}
DEADLINE = 600


@pytest.fixture(scope="module")
def expected():
    """What an undisturbed run leaves and asks: worked out by the first test that needs it."""
    return {}


@pytest.fixture
def undisturbed(bench, expected):
    if not expected:
        one = bench(world=SMALL, directory="undisturbed")
        report, calls = one.run_counted(*DAYS)
        assert report.is_good
        expected.update(lake=one.meaning(), windows=sorted(map(window, calls)))
    return expected


def window(call):
    return call.endpoint, call.subject, call.t_s, call.t_e


def landed_answers(one):
    return sorted((one.data_dir / "landing").glob("*/*.answer.gz"))


# 3 listings, each for today and for the past days, then 9 answers of series.
@pytest.mark.parametrize(("folder", "number"), [("landing", 8), ("landing", 14), ("meter_intervals", 1),
                                                ("meter_intervals", 4), ("sensor_readings", 2)])  # fmt: skip
def test_a_full_disk_ends_the_run_in_one_line_and_costs_at_most_one_call(bench, undisturbed, folder, number):
    """A disk that filled up while a month was committed lost the month, or left half a day file."""
    one = bench(world=SMALL)
    one.new_ingestion().open_account()
    process = one.start_process(*DAYS, disk_full=(folder, number), stderr=subprocess.PIPE)
    _, told = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1, told
    line = told.splitlines()[-1]
    assert line.startswith("LakeError: "), told
    assert "cannot be written: File too large" in line
    assert str(one.data_dir) in line
    assert "Traceback" not in told
    received = [call for call in one.series_calls() if call.status == 200]
    kept = len(landed_answers(one))
    if folder != "landing":
        assert kept == len(received) == len(undisturbed["windows"]), "landing holds everything until it is committed"
    one.clock.at += timedelta(minutes=5)
    assert one.run(*DAYS).is_good
    spent = sorted(window(call) for call in one.series_calls())
    assert set(spent) == set(undisturbed["windows"])
    assert len(spent) <= len(undisturbed["windows"]) + (folder == "landing")
    assert one.meaning() == undisturbed["lake"]
    assert one.landed() == []


@pytest.mark.parametrize("in_the_way", ["lake/meter_intervals", "lake/meter_intervals/day=2026-02-21", "landing"])
def test_a_lake_that_cannot_be_written_is_named_and_the_next_run_commits_what_came(bench, undisturbed, in_the_way):
    """Rights taken away, a disk mounted read-only; here a file lies in the way, which stops root, too."""
    one = bench(world=SMALL)
    one.new_ingestion().open_account()
    obstacle = one.data_dir / in_the_way
    if obstacle.exists():
        shutil.rmtree(obstacle)
    obstacle.write_text("")
    with pytest.raises(LakeError) as raised:
        one.run(*DAYS)
    assert in_the_way in str(raised.value)
    assert "\n" not in str(raised.value)
    received = len([call for call in one.series_calls() if call.status == 200])
    obstacle.unlink()
    one.clock.at += timedelta(minutes=5)
    assert one.run(*DAYS).is_good
    assert len(one.series_calls()) == len(undisturbed["windows"])
    assert received in (0, len(undisturbed["windows"]))
    assert one.meaning() == undisturbed["lake"]


def test_landed_files_damaged_on_purpose_are_set_aside_and_only_their_windows_asked_again(bench, undisturbed):
    """One bad file of a killed run stopped every later run, or its window stayed empty for ever."""
    one = bench(world=SMALL)

    def stop(request):
        if request.endpoint in ENDPOINTS and len(one.series_calls()) == 6:
            process.kill()

    one.server.interceptor = stop
    process = one.start_process(*DAYS)
    process.wait(DEADLINE)
    one.server.interceptor = None
    answered = [window(call) for call in one.series_calls() if call.status == 200][:6]
    files = landed_answers(one)
    assert len(files) == len(answered)
    for number, damage in ((1, lambda b: b[: len(b) // 2]), (4, lambda b: b[:200] + b"\xff" * 20 + b[220:])):
        files[number].write_bytes(damage(files[number].read_bytes()))
    one.clock.at += timedelta(minutes=5)
    report, calls = one.run_counted(*DAYS)
    assert report.is_good
    again = {window(call) for call in calls}
    assert again & set(answered) <= {answered[1], answered[4], answered[5]}
    assert {answered[1], answered[4]} <= again
    assert one.meaning() == undisturbed["lake"]
    aside = [files[number].with_suffix(".damaged").name for number in (1, 4)]
    assert [name.rpartition("/")[2] for name in one.landed() if name.endswith(".damaged")] == aside
    assert one.run_counted(*DAYS)[1] == []
    assert [name.rpartition("/")[2] for name in one.landed() if name.endswith(".damaged")] == aside


def test_what_a_run_left_that_was_killed_after_its_last_commit_goes_with_the_next_one(bench, undisturbed):
    """All that it was asked for is in the lake: the next run has nothing to ask for, and looked at nothing else."""
    one = bench(world=SMALL)

    def keep(*_):
        kept.update({path: path.read_bytes() for path in landed_answers(one)})

    kept = {}
    one.server.interceptor = keep
    assert one.run(*DAYS).is_good
    one.server.interceptor = None
    assert kept
    for path, content in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    one.clock.at += timedelta(minutes=5)
    report, calls = one.run_counted(*DAYS)
    assert report.is_good
    assert calls == []
    assert one.landed() == []
    assert one.meaning() == undisturbed["lake"]

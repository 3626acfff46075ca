from __future__ import annotations

import gzip
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import date

import pytest
from ingest_bench import NOW

from climkit_pipeline.files import LockBusyError, file_lock
from climkit_pipeline.ingest.landing import Landed, abandoned_folders, open_landing

DAY = date(2026, 6, 10)


def entry(number: int = 0) -> Landed:
    return Landed(
        dataset="meter_intervals",
        site_id="s",
        subject_id=f"m{number}",
        timezone="Europe/Zurich",
        first_day=DAY,
        last_day=DAY,
        received_at_utc=NOW,
        asked_from_utc=NOW,
        asked_until_utc=NOW,
        interval_minutes=15,
        detail="ü\nline",
        body=b'[{"total": 1.0,\n "name": "\xc3\xbc"}]\n',
    )


@pytest.fixture
def root(tmp_path):
    return tmp_path / "landing"


def test_an_answer_reads_back_byte_for_byte(root):
    """An answer is evidence: a line break in it, or in the header, must not cut it."""
    with open_landing(root, "run") as folder:
        folder.add(entry())
        folder.add(entry(1))
        assert folder.read() == [entry(), entry(1)]
        folder.clear()


def test_answers_stay_in_order_beyond_nine(root):
    """As texts, 10 sorts before 9: an older answer would follow a newer one."""
    with open_landing(root, "run") as folder:
        for number in range(12):
            folder.add(entry(number))
        assert [landed.subject_id for landed in folder.read()] == [f"m{number}" for number in range(12)]


def test_nothing_is_left_of_an_empty_folder(root):
    """Thousands of empty folders after a year of daily runs."""
    with open_landing(root, "run") as folder:
        folder.add(entry())
        folder.clear()
    assert list(root.iterdir()) == []


def test_answers_that_were_not_committed_stay(root):
    """An error between the last call and the commit must not cost the calls."""
    with suppress(RuntimeError), open_landing(root, "run") as folder:
        folder.add(entry())
        raise RuntimeError
    with abandoned_folders(root) as (folder,):
        assert folder.read() == [entry()]


def test_a_folder_reopened_does_not_overwrite_what_is_in_it(root):
    """A run repeated under its old id began to count at 1 again."""
    for number in range(2):
        with open_landing(root, "run") as folder:
            folder.add(entry(number))
    with abandoned_folders(root) as (folder,):
        assert folder.read() == [entry(0), entry(1)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda _: b"",
        lambda _: b"\0" * 300,
        lambda content: gzip.compress(gzip.decompress(content).replace(b"1.0", b"9.0")),
        lambda content: gzip.compress(gzip.decompress(content).replace(b'"site_id"', b'"site"')),
        lambda _: gzip.compress(b"[]\n[]"),
    ],
    ids=["cut", "empty", "zeroes", "changed", "other header", "no header"],
)
def test_a_damaged_file_is_set_aside_by_name_and_stops_nothing(root, damage):
    """A power cut left half an answer; every later run died on it."""
    with open_landing(root, "run") as folder:
        folder.add(entry(0))
        folder.add(entry(1))
    first = root / "run" / "00000001.answer.gz"
    first.write_bytes(damage(first.read_bytes()))
    content = first.read_bytes()
    with abandoned_folders(root) as (folder,):
        assert folder.read() == [entry(1)]
        folder.clear()
    assert (root / "run" / "00000001.answer.damaged").read_bytes() == content
    with abandoned_folders(root) as (folder,):
        assert folder.read() == []


def test_any_flipped_bit_is_noticed(root):
    """Some flips break the packing itself, which is an error of its own kind: every later run died on it."""
    with open_landing(root, "run") as folder:
        folder.add(entry())
        (file,) = folder.path.glob("*.answer.gz")
        whole = file.read_bytes()
        for position in range(10, len(whole)):  # before lie a date and a system's name, which mean nothing here
            file.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :])
            assert folder.read() == [], position
        file.write_bytes(whole)
        assert folder.read() == [entry()]
        folder.clear()


def test_a_living_owner_keeps_its_folder(root):
    """Committed by another process at the same time, answers were deleted before they were written."""
    with open_landing(root, "mine") as mine, open_landing(root, "other") as other:
        mine.add(entry())
        other.add(entry(1))
        with abandoned_folders(root) as folders:
            assert folders == []
        with pytest.raises(LockBusyError), file_lock(mine.path / ".lock", blocking=False):
            pass
        assert (mine.read(), other.read()) == ([entry()], [entry(1)])


HOLDER = """
import sys
from pathlib import Path
from climkit_pipeline.ingest.landing import open_landing
sys.path.insert(0, sys.argv[2])
from test_ingest_landing import entry
with open_landing(Path(sys.argv[1]), "theirs") as folder:
    folder.add(entry(5))
    print("landed", flush=True)
    sys.stdin.read()
"""


def test_the_folder_of_another_process_is_free_only_when_it_is_dead(root, request):
    """A lock by process id outlives a kill, or frees a folder whose owner lives in a container."""
    command = [sys.executable, "-c", HOLDER, str(root), str(request.path.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout.readline() == b"landed\n"
            with abandoned_folders(root) as folders:
                assert folders == []
            holder.send_signal(signal.SIGKILL)
            assert holder.wait(30) == -signal.SIGKILL
        finally:
            holder.kill()
    with abandoned_folders(root) as (folder,):
        assert folder.read() == [entry(5)]
        folder.clear()
    assert list(root.iterdir()) == []

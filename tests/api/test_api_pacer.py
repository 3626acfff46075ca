"""One rate for an account, whoever calls: spacing, several processes, killed holders, strange stamps."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from api_parts import PASSWORD, USERNAME, FakeClock
from hypothesis import given, settings
from hypothesis import strategies as st

from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.api.pacer import Pacer, pacer_path, spacing_seconds
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.files import LockBusyError, file_lock
from climkit_pipeline.simulator import SimulatorServer

CALLER = """
import sys, threading
from pathlib import Path
from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.api.pacer import Pacer, pacer_path

base_url, username, password, state_dir, rate, calls = sys.argv[1:]
path = pacer_path(Path(state_dir), base_url, username)
pacer = Pacer(path, float(rate))
with ClimkitClient(base_url=base_url, username=username, password=password, pacer=pacer) as client:
    client.authenticate()
    ask = lambda: [client.installations() for _ in range(int(calls))]
    threads = [threading.Thread(target=ask) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""
HOLDER = """
import sys
from pathlib import Path
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.api.pacer import Pacer

def hold(seconds):
    print("holding", flush=True)
    sys.stdin.read()

pacer = Pacer(Path(sys.argv[1]), 1.0, sleep=hold)
pacer.wait()
pacer.wait()
"""

TAKER = """
import os, sys, threading
from pathlib import Path
from climkit_pipeline.api.pacer import Pacer

folder, rate, slots, width = Path(sys.argv[1]), *map(int, sys.argv[2:])
pacer = Pacer(folder / "pacer", rate)
log = os.open(folder / "slots", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def take(number):
    while os.fstat(log).st_size < slots * width:
        pacer.wait()
        os.write(log, f"{os.getpid()}-{number}".ljust(width - 1).encode() + b"\\n")

threads = [threading.Thread(target=take, args=(number,)) for number in range(2)]
print("ready", flush=True)
sys.stdin.readline()
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def paced(path: Path, clock: FakeClock, rate: float = 1.0) -> Pacer:
    return Pacer(path, rate, monotonic=clock.monotonic, sleep=clock.sleep)


# --- the law ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "spacing"), [(0.5, 2.05), (1, 1.05), (2, 0.55), (4, 0.26), (10, 0.104), (20, 0.052), (1000, 0.003)]
)
def test_the_spacing_is_the_interval_and_a_margin(rate, spacing):
    assert spacing_seconds(rate) == pytest.approx(spacing)


@settings(deadline=None)
@given(rate=st.floats(0.01, 1000), offset=st.floats(0, 1))
def test_no_sliding_window_holds_more_starts_than_the_limit(rate, offset):
    """The limit as a server counts it: at most n calls in any n / rate seconds, with time left for jitter."""
    allowed = max(1, int(rate))
    window = allowed / rate
    spacing = spacing_seconds(rate)
    starts = [offset + number * spacing for number in range(allowed + 1)]
    assert starts[-1] - starts[0] >= window + allowed * 0.0019


def test_the_first_call_waits_for_nothing_and_the_next_for_the_spacing(tmp_path, clock):
    pacer = paced(tmp_path / "pacer", clock, 4)
    starts = []
    for _ in range(5):
        pacer.wait()
        starts.append(clock.monotonic())
    assert starts[0] == 1000
    assert [later - earlier for earlier, later in pairwise(starts)] == pytest.approx([0.26] * 4, abs=2e-6)


def test_time_spent_elsewhere_counts(tmp_path, clock):
    pacer = paced(tmp_path / "pacer", clock)
    pacer.wait()
    clock.advance(0.75)
    pacer.wait()
    clock.advance(5)
    pacer.wait()
    assert clock.slept == pytest.approx([0.3], abs=2e-6)


def test_waking_too_early_starts_no_call_too_early(tmp_path, clock):
    """A signal or a coarse timer may end a sleep before its time."""
    pacer = Pacer(
        tmp_path / "pacer", 1, monotonic=clock.monotonic, sleep=lambda seconds: clock.sleep(seconds / 3 + 1e-4)
    )
    pacer.wait()
    pacer.wait()
    assert clock.monotonic() - 1000 >= 1.05 - 2e-6
    assert len(clock.slept) > 3


def test_pacers_of_different_rates_share_one_stamp(tmp_path, clock):
    paced(tmp_path / "pacer", clock, 1000).wait()
    paced(tmp_path / "pacer", clock, 1).wait()
    assert clock.slept == pytest.approx([1.05], abs=2e-6)


# --- several threads and processes ------------------------------------------------------------------------------


def test_threads_and_processes_stay_inside_the_servers_own_limit(world, tmp_path):
    """In real time: 3 processes of 2 threads each, and 2 threads here, at 20 calls a second."""
    with SimulatorServer(world, requests_per_second=20, clock=lambda: datetime.now(UTC)) as server:
        arguments = [server.base_url, USERNAME, PASSWORD, str(tmp_path), "20", "4"]
        children = [
            subprocess.Popen([sys.executable, "-c", CALLER, *arguments], stderr=subprocess.PIPE) for _ in range(3)
        ]
        pacer = Pacer(pacer_path(tmp_path, server.base_url, USERNAME), 20)
        with ClimkitClient(base_url=server.base_url, username=USERNAME, password=PASSWORD, pacer=pacer) as client:
            client.authenticate()
            threads = [
                threading.Thread(target=lambda: [client.installations() for _ in range(10)], daemon=True)
                for _ in range(2)
            ]
            for thread in threads:
                thread.start()
            complaints = [child.communicate(timeout=600)[1] for child in children]
            for thread in threads:
                thread.join(60)
        arrivals = sorted(call.arrived for call in server.calls)
        statuses = [call.status for call in server.calls]
    assert complaints == [b""] * 3
    assert statuses == [200] * (4 + 3 * 2 * 4 + 2 * 10)
    assert min(later - earlier for earlier, later in zip(arrivals, arrivals[20:], strict=False)) >= 1.0


def test_nobody_starves(tmp_path):
    """A queue kept in a database let one process make 56 calls and another none in the same minute."""
    # Slots that are long against the time slices of a busy machine: who is not let run for a while misses few of them.
    arguments = [str(tmp_path), "60", "240", "16"]
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    assert [taker.stdout.readline() for taker in takers] == ["ready\n"] * 4
    for taker in takers:  # all at once, however long each took to start
        taker.stdin.write("\n")
        taker.stdin.flush()
    for taker in takers:
        taker.communicate(timeout=600)
    slots = (tmp_path / "slots").read_text().split()
    taken = Counter(slots)
    assert len(taken) == 8
    assert min(taken.values()) >= len(slots) / 8 / 3
    for one in taken:
        turns = [number for number, each in enumerate(slots) if each == one]
        assert max(later - earlier for earlier, later in pairwise(turns)) <= 8 * 6


def test_a_killed_holder_frees_the_pacer(tmp_path):
    """A run that was killed while it waited its turn must not stop every later one."""
    path = tmp_path / "pacer"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "holding\n"
        with pytest.raises(LockBusyError), file_lock(path, blocking=False):
            pass
        holder.kill()
        holder.wait()
    # Its last stamp is of this machine's clock: 2 s later nothing is left to wait for.
    clock = FakeClock()
    clock.advance(time.monotonic() + 2 - clock.monotonic())
    paced(path, clock).wait()
    assert clock.slept == []


def test_a_removed_lock_file_is_made_anew(tmp_path, clock):
    """Somebody tidied the state directory: two processes must not hold two files of one name."""
    path = tmp_path / "state" / "pacer"
    pacer = paced(path, clock)
    pacer.wait()
    path.unlink()
    pacer.wait()
    pacer.wait()
    assert clock.slept == pytest.approx([1.05], abs=2e-6)


def test_a_waiter_on_a_removed_file_takes_the_new_one(tmp_path):
    path = tmp_path / "pacer"
    entered: list[bool] = []

    def wait_for_it() -> None:
        with file_lock(path) as descriptor:
            entered.append(os.path.samestat(os.fstat(descriptor), path.stat()))

    with file_lock(path):
        waiter = threading.Thread(target=wait_for_it, daemon=True)
        waiter.start()
        path.unlink()
    waiter.join(10)
    assert entered == [True]


def test_the_lock_file_is_its_owners_alone(tmp_path, clock):
    path = tmp_path / "pacer"
    paced(path, clock).wait()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# --- stamps -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [0.5, 3600, 1e9])
def test_a_stamp_from_the_future_waits_one_interval_at_most(tmp_path, clock, ahead):
    """The monotonic clock starts anew with the machine: the first call after a restart waited for days."""
    path = tmp_path / "pacer"
    path.write_text(f"{clock.monotonic() + ahead:020.6f}")
    pacer = paced(path, clock)
    pacer.wait()
    assert clock.slept == pytest.approx([1.05])
    pacer.wait()
    assert clock.slept == pytest.approx([1.05, 1.05], abs=2e-6)


class JumpingClock(FakeClock):
    def jump(self, seconds: float) -> None:
        self._seconds = max(0.0, self._seconds + seconds)


@settings(deadline=None, max_examples=60)
@given(
    jumps=st.lists(st.sampled_from([0.0, 0.5, 1.05, 3600.0, 1e7, -0.5, -1.05, -3600.0, -1e7]), max_size=8),
    rate=st.sampled_from([0.5, 1, 20]),
)
def test_no_jump_of_the_clock_stalls_or_lets_a_burst_through(tmp_path_factory, jumps, rate):
    """Back to nothing at a restart of the machine, far ahead after a day asleep: an hour's wait, or a burst."""
    clock = JumpingClock()
    pacer = paced(tmp_path_factory.mktemp("state") / "pacer", clock, rate)
    spacing = spacing_seconds(rate)
    pacer.wait()
    for jump in jumps:
        clock.jump(jump)
        clock.slept.clear()
        pacer.wait()
        assert sum(clock.slept) <= spacing + 2e-6, "stalled"
        started = clock.monotonic()
        pacer.wait()
        assert clock.monotonic() - started == pytest.approx(spacing, abs=3e-6), "a burst, or a stall"


@pytest.mark.parametrize("hours", [-0.2, 0.2])
def test_setting_the_wall_clock_changes_no_pace(simulate, connect, clock, tmp_path, hours):
    """A wall clock that is set must neither hold the next call nor let it come early; by more, nothing is fetched."""
    shift = timedelta(0)
    server = simulate()
    api = connect(server.base_url, pacer=paced(tmp_path / "pacer", clock), now=lambda: clock.now() + shift)
    for number in range(6):
        shift = timedelta(hours=hours) if number % 2 else timedelta(0)
        api.installations()
    arrivals = [call.arrived for call in server.calls]
    assert len(arrivals) >= 7
    assert [later - earlier for earlier, later in pairwise(arrivals)] == pytest.approx(
        [1.05] * (len(arrivals) - 1), abs=1e-5
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 20,
        b"00000000",
        b"garbage",
        b"\xff\xfe\xfd",
        b"nan",
        b"inf",
        b"-inf",
        b"1e999",
        b"0000000001000.0\n0000",
    ],
    ids=repr,
)
def test_a_torn_stamp_neither_fails_nor_waits_long(tmp_path, clock, content):
    """A disk that was full, a machine that lost power while writing."""
    path = tmp_path / "pacer"
    path.write_bytes(content)
    pacer = paced(path, clock)
    pacer.wait()
    assert sum(clock.slept) <= 1.05 + 1e-6
    began = clock.monotonic()
    pacer.wait()
    assert clock.monotonic() - began == pytest.approx(1.05, abs=2e-6)


# --- accounts ---------------------------------------------------------------------------------------------------


def test_two_accounts_do_not_share_and_one_does(tmp_path, clock):
    url = "https://api.example/api/v1"
    accounts = [(url, "anna"), (url, "bert"), ("https://other.example/api/v1", "anna")]
    for base_url, user in accounts:
        paced(pacer_path(tmp_path, base_url, user), clock).wait()
    assert clock.slept == []
    paced(pacer_path(tmp_path, url, "anna"), clock).wait()
    assert clock.slept == pytest.approx([1.05], abs=2e-6)


def test_the_lock_files_name_tells_neither_address_nor_user(tmp_path):
    name = pacer_path(tmp_path, "https://api.example/api/v1", "anna@example.org").name
    assert not any(part in name for part in ("anna", "example", "api"))
    assert set(name) <= set("pacer-0123456789abcdef")


def test_a_state_directory_that_cannot_be_used_is_named(tmp_path):
    """A file in the directory's place ended in a traceback that did not say which setting to change."""
    (tmp_path / "state").write_text("")
    with pytest.raises(ConfigurationError, match="CLIMKIT_STATE_DIR"):
        Pacer(tmp_path / "state" / "pacer", 1).wait()


# --- what leaves late -------------------------------------------------------------------------------------------


def test_the_next_slot_counts_from_when_a_request_really_left(tmp_path, clock):
    """A handshake took most of a second: the two calls reached the server within one."""
    pacer = paced(tmp_path / "pacer", clock)
    pacer.wait()
    clock.advance(0.8)
    left = clock.monotonic()
    pacer.sent()
    pacer.wait()
    assert clock.monotonic() - left == pytest.approx(spacing_seconds(1))


def test_a_request_that_leaves_while_the_next_one_waits_is_still_counted(tmp_path, clock):
    """On a busy machine a process may be held up between its slot and its request, while another waits already."""
    late = paced(tmp_path / "pacer", clock)
    late.wait()
    left = []

    def sleep(seconds):
        if not left:
            clock.sleep(seconds / 2)
            late.sent()
            left.append(clock.monotonic())
            seconds /= 2
        clock.sleep(seconds)

    Pacer(tmp_path / "pacer", 1.0, monotonic=clock.monotonic, sleep=sleep).wait()
    assert clock.monotonic() - left[0] == pytest.approx(spacing_seconds(1))


def test_a_departure_from_before_a_restart_of_the_machine_is_no_departure(tmp_path, clock):
    pacer = paced(tmp_path / "pacer", clock)
    clock.advance(1000)
    pacer.wait()
    pacer.sent()
    clock.advance(-990)
    began = clock.monotonic()
    pacer.wait()
    assert clock.monotonic() - began <= spacing_seconds(1) + 1e-6


def test_the_client_tells_the_pacer_when_its_request_leaves(simulate, connect, tmp_path):
    class Noting(Pacer):
        def __init__(self) -> None:
            super().__init__(tmp_path / "pacer", 1000)
            self.told = []

        def wait(self) -> None:
            super().wait()
            self.told.append("wait")

        def sent(self) -> None:
            super().sent()
            self.told.append("sent")

    pacer = Noting()
    connect(simulate().base_url, pacer=pacer).installations()
    assert [what for what, _ in itertools.groupby(pacer.told)] == ["wait", "sent"] * 2

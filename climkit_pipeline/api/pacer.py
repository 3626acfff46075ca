"""The rate limit of one account, shared by every process and thread of this user.

The limit belongs to the account, so the pacer is a lock file per (base URL, user): held while waiting, stamped after
the wait, freed by the kernel when its holder dies. Stamps use the machine-wide monotonic clock, so setting the wall
clock neither stalls nor bursts.

A request may leave later than its slot began: a new connection needs a handshake, a busy machine lets a process wait.
The server counts arrivals, so the file holds a second stamp, of the last request that left, and the next slot counts
from the later of the two.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.files import file_lock


def pacer_path(state_dir: Path, base_url: str, username: str) -> Path:
    """The lock file for this account; its name reveals neither the address nor the user."""
    digest = hashlib.sha256(f"{base_url}\n{username}".encode()).hexdigest()[:24]
    return state_dir / f"pacer-{digest}"


def spacing_seconds(requests_per_second: float) -> float:
    """Seconds between two starts: 1/rate and a margin for the jitter of the way to the server.

    The margin is 50 ms up to 2/s (measured at 1/s with 8 processes: no breach, 95 % of the slots used) and shrinks
    with the interval above, to 2 ms at 20/s: a sliding second then holds 20 margins.
    """
    margin = 0.05 if requests_per_second <= 2 else max(0.002, 0.04 / requests_per_second)
    return 1 / requests_per_second + margin


_WIDTH = 20
_STARTED, _SENT = 0, _WIDTH + 1
"""Where in the file the two stamps stand."""


class Pacer:
    """Lets one call start at a time, no closer together than the rate allows."""

    def __init__(
        self,
        path: Path,
        requests_per_second: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._queue = path.with_name(f"{path.name}-queue")
        self._spacing = spacing_seconds(requests_per_second)
        self._monotonic = monotonic
        self._sleep = sleep

    def wait(self) -> None:
        """Return when the next call may start; the slot is then taken.

        Raises ConfigurationError if the lock file cannot be used.
        """
        try:
            self._take_slot()
        except OSError as error:
            raise ConfigurationError(
                f"CLIMKIT_STATE_DIR is {str(self._path.parent)!r}: it cannot be written ({error.strerror or error}); "
                "accepted: a directory that every process of this user can write"
            ) from error

    def sent(self) -> None:
        """Note that a request is leaving now; the next slot counts from here if its own slot began earlier."""
        with suppress(OSError):  # it has left all the same, and the next wait will say what is wrong with the file
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                # Without the lock, which somebody holds while waiting for the next slot.
                self._stamp(descriptor, _SENT)
            finally:
                os.close(descriptor)

    def _take_slot(self) -> None:
        with ExitStack() as turn:
            # Whoever comes back from a slot stands behind the one who waits already: on a busy machine it would have
            # the lock again before anybody else was let run.
            with file_lock(self._queue):
                descriptor = turn.enter_context(file_lock(self._path))
            now = self._monotonic()
            # A stamp from the future is one from before a restart of the machine: at most one interval is waited.
            until = now + min(self._spacing, self._stamped(descriptor, _STARTED) + self._spacing - now)
            while True:
                sent = self._stamped(descriptor, _SENT)
                if sent <= now:
                    until = max(until, sent + self._spacing)
                if now >= until:
                    break
                self._sleep(until - now)
                now = self._monotonic()
            self._stamp(descriptor, _STARTED)

    def _stamp(self, descriptor: int, position: int) -> None:
        os.pwrite(descriptor, f"{self._monotonic():0{_WIDTH}.6f}\n".encode(), position)

    @staticmethod
    def _stamped(descriptor: int, position: int) -> float:
        try:
            return float(os.pread(descriptor, _WIDTH, position))
        except ValueError:
            return float("-inf")  # a new file, or one cut by a full disk

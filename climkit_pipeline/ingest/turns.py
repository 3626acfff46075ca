"""Whose turn it is: a run works on one site at a time, and an urgent run (the morning's) goes before a history.

Locks: one per dataset and site, from planning to commit, so that no window is asked twice at once; it names its holder,
for whoever waits. A run never waits while it holds one. A run that is not urgent waits before each site until no urgent
one is under way, so an urgent run waits for the site in progress at most. The kernel frees the locks of a process that
ends, however it ends.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from climkit_pipeline.files import LockBusyError, file_lock
from climkit_pipeline.ingest.listings import SiteListing
from climkit_pipeline.lake.layout import Layout

URGENT = "ingest-urgent"
MOST_HOLDER_BYTES = 200


class Turns:
    """The turns of one run; ``owner`` is what others read of whom they wait for."""

    def __init__(
        self, layout: Layout, datasets: Sequence[str], owner: str, *, is_urgent: bool, on_wait: Callable[[str], None]
    ) -> None:
        self._layout = layout
        self._datasets = datasets
        self._owner = owner
        self._is_urgent = is_urgent
        self._on_wait = on_wait

    @contextmanager
    def going_first(self) -> Iterator[None]:
        """If the run is urgent, others begin no site inside the block."""
        if not self._is_urgent:
            yield
            return
        with file_lock(self._layout.lock(URGENT), shared=True) as descriptor:
            _name(descriptor, self._owner)
            yield

    @contextmanager
    def next_of(self, sites: Sequence[SiteListing]) -> Iterator[SiteListing]:
        """The first of ``sites`` that nobody works on, locked inside the block; waits if there is none."""
        with ExitStack() as held:
            while True:
                self._give_way()
                for listing in sites:
                    if self._take(listing, held):
                        yield listing
                        return
                self._wait_for(sites[0])

    def _give_way(self) -> None:
        if self._is_urgent:
            return
        path = self._layout.lock(URGENT)
        try:
            with file_lock(path, blocking=False):
                return
        except LockBusyError:
            self._on_wait(f"waiting until a run that goes first has ended: {_holder(path)}")
        with file_lock(path):
            pass

    def _take(self, listing: SiteListing, held: ExitStack) -> bool:
        with ExitStack() as own:
            for dataset in self._datasets:
                try:
                    path = site_lock(self._layout, dataset, listing.site_id)
                    descriptor = own.enter_context(file_lock(path, blocking=False))
                except LockBusyError:
                    return False
                _name(descriptor, self._owner)
            held.push(own.pop_all())
        return True

    def _wait_for(self, listing: SiteListing) -> None:
        paths = [site_lock(self._layout, dataset, listing.site_id) for dataset in self._datasets]
        holders = sorted({holder for path in paths if (holder := _holder(path)) != self._owner})
        self._on_wait(f"waiting for site {listing.name}, on which another run works: {', '.join(holders)}")
        for path in paths:
            with file_lock(path):
                pass


def site_lock(layout: Layout, dataset: str, site_id: str) -> Path:
    """What a run holds that works on a dataset of a site."""
    # A site's id is data and does not become part of a path.
    return layout.lock(f"ingest-{dataset}-{hashlib.sha256(site_id.encode()).hexdigest()[:16]}")


def _name(descriptor: int, owner: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, owner.encode()[:MOST_HOLDER_BYTES], 0)


def _holder(path: Path) -> str:
    try:
        return path.read_bytes()[:MOST_HOLDER_BYTES].decode(errors="replace") or "unknown"
    except OSError:
        return "unknown"

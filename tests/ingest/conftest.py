from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, datetime

import pytest
from ingest_bench import Bench, Clock, Faults

from climkit_pipeline.simulator import SimulatorServer, World


class Worlds:
    """Worlds by their parameters: what one has computed serves every test, at whatever time the test sets."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._known: dict[tuple, World] = {}

    def now(self) -> datetime:
        return self.clock.at

    def get(self, **parameters: object) -> World:
        parameters = {"seed": 7, "sites": 2, "meters": 2, "created": date(2026, 1, 1), **parameters}
        key = tuple(sorted(parameters.items()))
        if key not in self._known:
            self._known[key] = World(clock=self.now, **parameters)
        return self._known[key]


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture(scope="session")
def worlds() -> Worlds:
    return Worlds()


@pytest.fixture
def clock(worlds) -> Clock:
    """The time of the test, for the world, the client and the pipeline."""
    worlds.clock = Clock()
    return worlds.clock


@pytest.fixture
def bench(tmp_path, faults, worlds, clock) -> Iterator[Callable[..., Bench]]:
    """A function that makes a bench: ``world`` and ``server`` take parameters, the rest are settings."""
    with ExitStack() as stack:

        def make(
            *, world: dict | None = None, server: dict | None = None, directory: str = "data", **settings: object
        ) -> Bench:
            options = {"requests_per_second": None, "interceptor": faults, **(server or {})}
            running = stack.enter_context(SimulatorServer(worlds.get(**(world or {})), **options))
            made = Bench(running, tmp_path / directory, tmp_path / "state", clock, settings)
            stack.push(made.stack)
            return made

        yield make

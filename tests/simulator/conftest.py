"""A world of the three kinds of site, served on a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date

import pytest
from simulator_client import NOW, Api

from climkit_pipeline.simulator import SimulatorServer, World


@pytest.fixture(scope="session")
def world() -> World:
    """Three sites (Zurich, Lisbon, Zurich without sensors) of 15 meters, born in early 2026."""
    return World(seed=7, sites=3, clock=lambda: NOW, created=date(2026, 1, 1))


@pytest.fixture(scope="session")
def api(world: World) -> Iterator[Api]:
    """A client of that world without a rate limit."""
    with SimulatorServer(world, requests_per_second=None) as server, Api(server) as client:
        yield client


@pytest.fixture
def serve(world: World) -> Iterator[Callable[..., Api]]:
    """A function that serves a world with the options given and returns a client of it."""
    with ExitStack() as stack:

        def start(of: World = world, *, log_in: bool = True, **options: object) -> Api:
            options.setdefault("requests_per_second", None)
            server = stack.enter_context(SimulatorServer(of, **options))
            return stack.enter_context(Api(server, log_in=log_in))

        yield start

"""A small world on a real socket, and clients whose time is a fake clock's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from api_parts import FIRST_DAY, NOW, PASSWORD, USERNAME, FakeClock, NoPacer, Script, ScriptedServer, scripted_server

from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.simulator import SimulatorServer, World


@pytest.fixture(scope="session")
def world() -> World:
    """One site in Zurich, with physical meters, rule meters and sensors, born in October 2026."""
    return World(seed=11, sites=1, clock=lambda: NOW, created=FIRST_DAY)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def simulate(world: World, clock: FakeClock) -> Iterator[Callable[..., SimulatorServer]]:
    """A function that serves the world with the options given, on the fake clock."""
    with ExitStack() as stack:

        def start(**options: object) -> SimulatorServer:
            options.setdefault("requests_per_second", None)
            options.setdefault("clock", clock.now)
            options.setdefault("monotonic", clock.monotonic)
            return stack.enter_context(SimulatorServer(world, **options))

        yield start


@pytest.fixture
def script() -> Iterator[Callable[[Script], ScriptedServer]]:
    """A function that serves a script."""
    with ExitStack() as stack:
        yield lambda steps: stack.enter_context(scripted_server(steps))


@pytest.fixture
def connect(clock: FakeClock) -> Iterator[Callable[..., ClimkitClient]]:
    """A function that returns a client of a base URL, on the fake clock."""
    with ExitStack() as stack:

        def start(base_url: str, **options: object) -> ClimkitClient:
            options = {
                "username": USERNAME,
                "password": PASSWORD,
                "pacer": NoPacer(),
                "now": clock.now,
                "monotonic": clock.monotonic,
                "sleep": clock.sleep,
                **options,
            }
            return stack.enter_context(ClimkitClient(base_url=base_url, **options))

        yield start

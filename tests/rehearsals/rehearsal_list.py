"""The rehearsals by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from crashes import rehearse_crashes
from mixed_faults import rehearse_mixed_faults
from slots import rehearse_slots
from soak import rehearse_soak
from stage import Figure, Stage
from windows import rehearse_windows


class Result(Protocol):
    """What a rehearsal gives."""

    @property
    def figures(self) -> list[Figure]:
        """The lines of the table."""

    @property
    def problems(self) -> Sequence[str]:
        """What is not as it should be, for a person."""


REHEARSALS: dict[str, Callable[[Stage, int, bool], Result]] = {
    "windows": lambda stage, _, is_short: rehearse_windows(stage, is_short=is_short),
    "slots": lambda stage, _, is_short: rehearse_slots(stage, is_short=is_short),
    "soak": lambda stage, _, is_short: rehearse_soak(stage, is_short=is_short),
    "faults": lambda stage, seed, is_short: rehearse_mixed_faults(stage, seed=seed, is_short=is_short),
    "crashes": lambda stage, seed, is_short: rehearse_crashes(stage, seed=seed, is_short=is_short),
}

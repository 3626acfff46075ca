"""The rehearsals in their short forms; `make rehearse` runs the long ones and writes down their figures."""

from __future__ import annotations

import document
import pytest
from rehearsal_list import REHEARSALS
from stage import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("rehearsals"))


@pytest.mark.parametrize("name", REHEARSALS)
def test_the_short_rehearsal_gives_what_was_asked_for(stage: Stage, name: str) -> None:
    result = REHEARSALS[name](stage, 1, True)
    assert [figure for figure in result.figures if not figure.is_met] == [], result.problems


def test_every_rehearsal_has_its_figures_in_the_document_and_none_was_missed() -> None:
    text = document.PATH.read_text()
    for name in REHEARSALS:
        assert f"\n| {name} | " in text
    assert "(missed)" not in text

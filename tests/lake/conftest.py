from __future__ import annotations

import pytest

from climkit_pipeline.lake.layout import Layout


@pytest.fixture
def layout(tmp_path) -> Layout:
    # Signs that mean something in a file pattern: a user's directory may hold them.
    return Layout(tmp_path / "data [1] %x")

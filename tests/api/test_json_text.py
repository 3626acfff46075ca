"""What a JSON text says is the same whichever parser reads it: Python's own is asked beside ours."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from climkit_pipeline.api.json_text import decoded

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.booleans())
def test_a_text_says_what_was_written(value: object, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    assert repr(decoded(text)) == repr(value)


@pytest.mark.parametrize(
    "text",
    [
        b"[NaN, Infinity, -Infinity]",
        b'{"total": 1, "total": 2}',
        b"[1e400, 123456789012345678901234567890, -0, -0.0, 5e-324, 0.30000000000000004]",
        b'["half a character: \\ud800"]',
        b"\xef\xbb\xbf[1.5]",
        '["é"]'.encode("utf-16"),
        b" [1]\r\n",
    ],
)
def test_odd_texts_are_read_as_python_reads_them(text: bytes) -> None:
    assert repr(decoded(text)) == repr(json.loads(text))


@pytest.mark.parametrize("text", [b"", b"[1,]", b"[1] x", b"[nan]", b"[1", b'"\xff"', b"<html>", b"[01]"])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decoded(text)

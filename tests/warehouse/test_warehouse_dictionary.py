"""The dictionary in ``docs/``: as current as the models, and nothing left out."""

from __future__ import annotations

from pathlib import Path

from climkit_pipeline.installation import seed_rows
from climkit_pipeline.warehouse.dictionary import dictionary_pages, write_dictionary
from climkit_pipeline.warehouse.project import load_project

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "dictionary"


def test_the_committed_dictionary_is_what_the_command_writes(tmp_path):
    """`climkit docs` makes it again."""
    written = {path.name: path.read_text() for path in write_dictionary(tmp_path / "new")}
    assert written == {path.name: path.read_text() for path in FOLDER.iterdir()}


def test_every_published_table_and_column_is_in_it():
    pages = dictionary_pages()
    for name, model in load_project().models.items():
        if model.is_published:
            assert f"[`{name}`]({model.folder}.md#{name})" in pages["index.md"]
            [section] = [part for part in pages[f"{model.folder}.md"].split("\n## ") if part.startswith(f"{name}\n")]
            assert [column for column in model.columns if f"\n| `{column}` |" not in section] == []


def test_every_check_says_what_a_clerk_does(built):
    checks = [row["check_name"] for row in seed_rows("quality_checks")]
    page = dictionary_pages()["checks.md"]
    assert [name for name in checks if f'<a id="{name}"></a>' not in page] == []
    published = dict(built.rows("select check_name, what_to_do from data_quality_checks"))
    assert set(published) == set(checks)
    assert [name for name, what in published.items() if not what] == []


WORDS = {
    "severity": {"waits", "blocks", "warns"},
    "spreads_to": {"nothing", "rule meters", "split and rule meters"},
    "accepted_for": {"days", "months", "never"},
    "over_days": {"", "sum", "max", "share"},
    "mended_by": {"", "fetch", "wait", "settle", "line", "correct", "others"},
    "is_always_reason": {"true", "false"},
    "waits_last": {"true", "false"},
    "blocks_once_passed": {"true", "false"},
    "counts_when_excluded": {"true", "false"},
}


def test_the_table_of_checks_uses_the_words_that_are_looked_for():
    """Another word was no error: a failure spread to nobody, or was added up as if it were none."""
    rows = seed_rows("quality_checks")
    for column, words in WORDS.items():
        assert {row["check_name"]: row[column] for row in rows if row[column] not in words} == {}, column
    holds_up_no_bill = {
        row["check_name"] for row in rows if row["severity"] == "warns" and row["blocks_once_passed"] == "false"
    }
    assert {row["check_name"] for row in rows if not row["mended_by"]} == holds_up_no_bill

"""The legend of a bill: what its columns and the words in them mean."""

from __future__ import annotations

from collections.abc import Mapping

from climkit_pipeline.bill_files.tables import (
    CORRECTION_COLUMNS,
    DETAIL_COLUMNS,
    LINE_COLUMNS,
    MEDIUM_COLUMNS,
    Cell,
    Column,
    Table,
)
from climkit_pipeline.languages.words import Words

LEGEND_COLUMNS = (Column("column", "Column", width=24), Column("meaning", "Meaning", width=90))
COLUMN_MEANINGS = {
    "not_yet": "What was measured on lines that wait or are blocked.",
    "adds_up": "Whether the lines add up to what the bills of the meters do.",
    "splits": "Whether the solar and grid energy of the lines add up to their total.",
    "quantity": "Which of the quantities of the line was corrected.",
    "closed_value": "What was closed, or settled before.",
    "current_value": "What it is by the data and decisions of now, or by the version that settled it.",
    "delta": "What is to be billed more, or less, than was closed.",
    "cause": "Whether the provider changed values, somebody decided otherwise, or the calculation changed.",
    "version": "The closed version that the correction is of.",
    "settled_version": "The version that holds the correction; empty: not settled yet.",
}
"""Of columns that are none of billing_lines_monthly."""
WORD_MEANINGS = {
    "ready": "The line can be billed.",
    "ready_with_estimates": "The line can be billed; a part of it rests on estimates.",
    "provisional": "The line waits for data, time or a decision.",
    "blocked": "Something is wrong with the line; it must not be billed.",
    "not billed": "By a decision, these days are not billed.",
    "the owner": "Nobody is stated for these days, between the days of others: the owner pays.",
}


def legend_table(comments: Mapping[str, str], words: Words) -> Table:
    """What the columns mean, by the warehouse's own comments where it has them, and words of Occupant and State."""
    # The same name first stands for the column of a line, which has a comment.
    known = (*LINE_COLUMNS, *DETAIL_COLUMNS, *MEDIUM_COLUMNS, *CORRECTION_COLUMNS)
    columns = {column.name: column for column in reversed(known)}
    columns = {column.name: columns[column.name] for column in known}
    meanings = {name: COLUMN_MEANINGS.get(name) or comments.get(columns[name].comment_of) for name in columns}
    rows: list[list[Cell]] = [
        [words.say(columns[name].words), words.say(meaning)] for name, meaning in meanings.items() if meaning
    ]
    rows += [[words.say(word), words.say(meaning)] for word, meaning in WORD_MEANINGS.items()]
    return Table(LEGEND_COLUMNS, rows)

"""Everything that a bill says is said in four languages, with the same things standing in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

import climkit_pipeline
from climkit_pipeline.bill_files import legend, tables
from climkit_pipeline.installation import PROJECT_DIR, seed_rows
from climkit_pipeline.languages import LANGUAGES, sentences
from climkit_pipeline.languages.words import Words, catalogue

FOREIGN = [language for language in LANGUAGES if language != "en"]
MADE_UP = {"count": "3", "amount": "1.5", "percent": "12.5", "on_days": ", on 2026-10-08", "detail": "Flat 1"}


def spoken() -> Iterator[str]:
    """The texts that the code says, its columns and grades, and the words of the warehouse on a bill."""
    package = Path(climkit_pipeline.__file__).parent
    for path in [path for part in ("bill_files", "languages", "report") for path in package.glob(f"{part}/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "say":
                said = node.args[0]
                texts = [said.body, said.orelse] if isinstance(said, ast.IfExp) else [said]
                yield from (text.value for text in texts if isinstance(text, ast.Constant))
    yield from ("Details", "Corrections")
    for module in (tables, legend):
        for name in dir(module):
            if name.endswith("_COLUMNS"):
                yield from (column.words for column in getattr(module, name))
    yield from (*legend.WORD_MEANINGS, *legend.WORD_MEANINGS.values(), *legend.COLUMN_MEANINGS.values())
    yield from (sentences.ACCEPTED, *sentences.DAY_SENTENCES, *sentences.WORDS_OF_DETAILS)
    yield from ("total", "solar", "grid", "values", "decision", "calculation")
    yield from ({row["meter_type"] for row in seed_rows("known_meter_types")} - {"*"})


def comments() -> Iterator[str]:
    """What the warehouse says of the columns that the legend explains."""
    models = yaml.safe_load((PROJECT_DIR / "models" / "bills" / "_bills.yml").read_text(encoding="utf-8"))["models"]
    (lines,) = (model for model in models if model["name"] == "billing_lines_monthly")
    explained = {column.comment_of for column in (*tables.LINE_COLUMNS, *tables.DETAIL_COLUMNS)} - {""}
    found = {column["name"]: column["description"].strip() for column in lines["columns"]}
    assert explained <= set(found)
    yield from (found[name] for name in explained)


@pytest.mark.parametrize("language", FOREIGN)
def test_every_check_has_a_sentence_with_the_same_things_in_it(language):
    said = catalogue(language)
    checks = {row["check_name"]: row["sentence"] for row in seed_rows("quality_checks")}
    assert len(checks) > 60
    for code, sentence in (checks | sentences.SERVICE_SENTENCES).items():
        assert sentences.slots_of(said[code, sentence]) == sentences.slots_of(sentence), code
    for code, details in sentences.DETAIL_SENTENCES.items():
        for detail in details:
            assert sentences.slots_of(said[code, detail]) == sentences.slots_of(detail), (code, detail)


@pytest.mark.parametrize("language", FOREIGN)
def test_every_word_of_a_bill_is_translated(language):
    said = catalogue(language)
    texts = {*spoken(), *comments()}
    assert len(texts) > 90
    assert [text for text in sorted(texts) if ("", text) not in said] == []
    assert all(said.values())


def test_no_catalogue_holds_what_nobody_says():
    checks = {(code, sentence) for code, sentence in sentences.templates().items()}
    details = {(code, detail) for code, of_check in sentences.DETAIL_SENTENCES.items() for detail in of_check}
    known = checks | details | {("", text) for text in {*spoken(), *comments()}}
    for language in FOREIGN:
        assert set(catalogue(language)) - known - {("", "")} == set()


@pytest.mark.parametrize("code", sorted(sentences.templates()))
def test_what_stands_in_a_sentence_is_read_out_of_it_again(code):
    template = sentences.templates()[code]
    for count in ("1", "3"):
        stated = {name: MADE_UP[name] for name in sentences.slots_of(template)} | {"count": count}
        sentence = sentences.filled(template, stated)
        found = sentences.parameters_of(sentence, template)
        assert found == {name: stated[name] for name in sentences.slots_of(template)}
        assert Words("en").reason(f"{code}: {sentence}") == sentence


def test_a_reason_in_german_and_french():
    stated = "missing_intervals: {} not come, on 2 days from 2026-10-03 to 2026-10-04 (accepted by me: paid by 2026)"
    two = stated.format("2 intervals that were asked for did")
    one = stated.format("1 interval that was asked for did")
    german = "an 2 Tagen vom 03.10.2026 bis 04.10.2026 (akzeptiert von me: paid by 2026)"
    assert Words("de").reason(two) == f"2 abgefragte Intervalle kamen nicht, {german}"
    assert Words("de").reason(one) == f"1 abgefragtes Intervall kam nicht, {german}"
    assert Words("fr").reason(one).startswith("1 intervalle demandé n'est pas arrivé, sur 2 jours du 03.10.2026 au")
    assert Words("it").reason("running: the period had not ended at the last call").startswith("il periodo non era")


def test_details_and_lists_of_them_are_said_too():
    changed = (
        "changed_after_closing: the month was closed with total 61.488 kWh (now nothing) for Ada, "
        "total 79.506 kWh (now 54.241 kWh) for the owner: settle it and bill the correction"
    )
    assert Words("de").reason(changed) == (
        "der Monat wurde abgeschlossen mit Total 61.488 kWh (jetzt nichts) für Ada, "
        "Total 79.506 kWh (jetzt 54.241 kWh) für Eigentümer: bereinigen und die Korrektur verrechnen"
    )
    command = "climkit backfill 2026-10-01 2026-10-31 --site s --dataset meter_intervals --refetch"
    asked = f"not_confirmed: 2 days were not confirmed by a second equal answer after the month; run {command}"
    assert Words("fr").reason(asked).endswith(f"; exécuter : {command}")  # to be copied as it is


def test_what_older_models_said_stays_as_it_was():
    assert Words("de").reason("running: the month is not over") == "the month is not over"
    assert Words("de").reason("gone_check: whatever it said") == "gone_check: whatever it said"


def test_dates_and_decimals_are_those_of_switzerland():
    at, zone = datetime(2026, 10, 31, 23, 30, tzinfo=UTC), ZoneInfo("Europe/Zurich")
    assert [Words(each).instant(at, zone) for each in ("de", "en")] == ["01.11.2026 00:30", "2026-11-01 00:30"]
    assert [Words(each).month(date(2026, 10, 1)) for each in LANGUAGES] == [
        "Oktober 2026", "octobre 2026", "ottobre 2026", "October 2026",
    ]  # fmt: skip
    assert {each: Words(each).decimal_sign for each in LANGUAGES} == {"de": ".", "fr": ",", "it": ".", "en": "."}

"""What the bill says, in one language."""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from babel.core import Locale
from babel.dates import format_skeleton
from babel.messages.pofile import read_po
from babel.numbers import get_decimal_symbol

from climkit_pipeline.languages import Language, sentences

Key = tuple[str, str]
"""Context (the code of a reason, or nothing), and the English text."""


@cache
def catalogue(language: Language) -> dict[Key, str]:
    """Every text that is translated; English has none, it is what the warehouse and the code say."""
    if language == "en":
        return {}
    with files("climkit_pipeline.languages").joinpath(f"{language}.po").open("rb") as file:
        return {(message.context or "", str(message.id)): str(message.string) for message in read_po(file, language)}


class Words:
    """Says texts, dates and reasons in one language, with the dates and decimals of Switzerland."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._texts = catalogue(language)
        self._locale = Locale.parse("en_GB" if language == "en" else f"{language}_CH")

    @property
    def decimal_sign(self) -> str:
        """Between the whole and its parts, as this language's part of Switzerland has it: a comma in French."""
        return get_decimal_symbol(self._locale)

    @property
    def date_format(self) -> str:
        """Of a spreadsheet's cell."""
        return "yyyy-mm-dd" if self.language == "en" else "dd.mm.yyyy"

    def say(self, text: str, /, **parameters: object) -> str:
        """A text of ours, with what stands in it. English stays where a catalogue has nothing."""
        said = self._texts.get(("", text), text)
        return sentences.filled(said, {name: str(value) for name, value in parameters.items()})

    def day(self, day: date) -> str:
        """31.12.2026, or 2026-12-31 in English."""
        return day.isoformat() if self.language == "en" else f"{day:%d.%m.%Y}"

    def month(self, month: date) -> str:
        """October 2026."""
        return str(format_skeleton("yMMMM", month, locale=self._locale))

    def instant(self, instant: datetime, zone: ZoneInfo) -> str:
        """A local day and time of the site."""
        local = instant.astimezone(zone)
        return f"{self.day(local.date())} {local:%H:%M}"

    def reason(self, text: str) -> str:
        """A reason of the warehouse (``code: sentence``), without its code.

        What was frozen by older models may have another sentence than now; it stays in English.
        """
        code, _, sentence = text.partition(": ")
        template = sentences.templates().get(code)
        if template is None:
            return text
        parameters, accepted = self._read(sentence, template)
        if parameters is None:
            return sentence
        if "detail" in parameters:
            parameters["detail"] = self._detail(code, parameters["detail"])
        if "on_days" in parameters:
            parameters["on_days"] = self._of_one_of("", parameters["on_days"], sentences.DAY_SENTENCES)
        said = sentences.filled(self._texts.get((code, template), template), parameters)
        return self._dated(said) + (self.say(sentences.ACCEPTED, **accepted) if accepted else "")

    def _read(self, sentence: str, template: str) -> tuple[dict[str, str] | None, dict[str, str]]:
        """What stands in a sentence, and who accepted it."""
        if accepted := re.fullmatch(r"(?P<said>.*) \(accepted by (?P<who>.*?): (?P<why>.*)\)", sentence, re.DOTALL):
            parameters = sentences.parameters_of(accepted["said"], template)
            if parameters is not None:
                return parameters, {"who": accepted["who"], "why": accepted["why"]}
        return sentences.parameters_of(sentence, template), {}

    def _detail(self, code: str, detail: str) -> str:
        """What a check adds; several are joined by commas."""
        known = sentences.DETAIL_SENTENCES.get(code, ())
        parts = detail.split(", ")
        if all(any(sentences.parameters_of(part, each) is not None for each in known) for part in parts):
            return ", ".join(self._of_one_of(code, part, known) for part in parts)
        return self._of_one_of(code, detail, known)

    def _of_one_of(self, code: str, text: str, templates: tuple[str, ...]) -> str:
        for template in templates:
            parameters = sentences.parameters_of(text, template)
            if parameters is not None:
                words = {name: self._word(value) for name, value in parameters.items()}
                return sentences.filled(self._texts.get((code, template), template), words)
        return text

    def _word(self, value: str) -> str:
        return self.say(value) if value in sentences.WORDS_OF_DETAILS or ("", value) in self._texts else value

    def _dated(self, text: str) -> str:
        """ISO dates as people of the language write them; not those of a command to be copied."""
        if "climkit " in text or self.language == "en":
            return text
        return re.sub(r"\b(\d{4})-(\d{2})-(\d{2})\b", r"\3.\2.\1", text)

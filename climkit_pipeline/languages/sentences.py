"""The sentences of reasons: which there are, what stands in them, and how it is read out of one again.

A reason of a bill is a code and an English sentence, also in months that were frozen years ago. Its sentence was made
from a template of the table of checks, so the template tells what stands in it. Here: templates and their parameters.
Not here: what they are in other languages (the catalogues).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from climkit_pipeline.installation import seed_rows

_SLOT = re.compile(r"\{(?P<one>[^{}|]*)\|(?P<many>[^{}|]*)\}|\{(?P<name>\w+)\}")
_NUMBER = r"-?[\d.]+"
_SHAPES = {"count": r"-?\d+", "amount": _NUMBER, "percent": r"[\d.]+|-?inf|nan", "on_days": "|, on .+"}
"""What parameters look like; those that are not here are any text."""

SERVICE_SENTENCES = {
    "excluded": "{detail}",
    "not_in_service": "no day of the period, by meters.csv",
    "out_of_service": "{count} {day|days} with values other than 0, by meters.csv",
    "not_billed": "{count} {day|days} with values, by meters.csv or for what the meter was listed as then",
    "not_served": "{count} {day|days} without a meter in service, by meters.csv",
}
"""The reasons that are no check: what the user's files say of the days of a period."""

DAY_SENTENCES = (", on {days} days from {first} to {last}", ", on {first}")
ACCEPTED = " (accepted by {who}: {why})"

_INSIDE = "between readings inside the period, the intervals state {amount}"
_AROUND = "from the reading before the period to the one after it, the intervals state {amount}"
_APART = tuple(f"{where} {more} than the register counted" for where in (_INSIDE, _AROUND) for more in ("more", "less"))
_SPLIT_SUM = "solar {solar} (the site: {site_solar}), grid {grid} (the site: {site_grid}): {amount}"
DETAIL_SENTENCES: Mapping[str, tuple[str, ...]] = {
    "too_young": ("{count} {day|days}",),
    "replaced": ("{before} to {after}",),
    "unit_change": ("{before} to {after}",),
    "mode_changed": ("from {before} to {after}",),
    "zero_run": (" or more",),
    "zero_run_unread": (" or more",),
    "index_difference": (
        "the intervals add up to {total}, the register counted {advance}",
        "from its first reading on, the register counted {amount} more than the intervals state",
        *_APART,
    ),
    "wrong_unit": ("{total}, the register counted {advance}",),
    "unmeasured": ("{total} the intervals state {part}",),
    "lone_peak": ("{peak} at {at}; the next is {next} at {next_at}",),
    "not_confirmed": ("run {command}", "the meter is no longer listed and cannot be asked again"),
    "site_sum": ("{stated}, its meters add up to {found}",),
    "production_index": ("{stated}, its meters add up to {found}",),
    "split_sum": (
        f"{_SPLIT_SUM} from the grid are billed to nobody",
        f"{_SPLIT_SUM} too much from the grid are billed",
    ),
    "split_scheme": (
        "{solar} of solar energy, where the provider's rule gives {clipped} (parts never below 0) or {signed}",
    ),
    "solar_not_produced": ("{solar} of solar energy are billed, while the plants of the site produced {produced}",),
    "far_from_last_year": ("{now}, the same month last year {then}",),
    "stated_month": ("{stated}, and its intervals add up to {sum}",),
    "changed_after_closing": (
        "{quantity} {closed} (now {current}) for {occupant}",
        "{quantity} {closed} (now {current})",
    ),
    "excluded": ("{part} of {whole} days, {said}", "by decision"),
}
"""What {detail} of a sentence may be; where nothing is listed, it holds names, numbers and times alone."""

WORDS_OF_DETAILS = frozenset({"nothing", "another amount", "the owner"})
"""What a parameter of a detail may be that is a word of ours."""


@cache
def templates() -> dict[str, str]:
    """The sentence of each reason by its code: all checks, and what the user's files say."""
    return {row["check_name"]: row["sentence"] for row in seed_rows("quality_checks")} | SERVICE_SENTENCES


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts, at = [], 0
    for slot in _SLOT.finditer(template):
        parts.append(re.escape(template[at : slot.start()]))
        if name := slot["name"]:
            parts.append(f"(?P<{name}>{_SHAPES.get(name, '.*?')})")
        else:
            parts.append(f"(?:{re.escape(slot['one'])}|{re.escape(slot['many'])})")
        at = slot.end()
    return re.compile("".join([*parts, re.escape(template[at:])]), re.DOTALL)


def parameters_of(text: str, template: str) -> dict[str, str] | None:
    """What stands in a text that was made from the template; None if it was made from another."""
    found = _pattern(template).fullmatch(text)
    return None if found is None else found.groupdict()


def filled(template: str, parameters: Mapping[str, str]) -> str:
    """The template with its parameters; words agree with {count}."""
    is_one = parameters.get("count") == "1"
    return _SLOT.sub(
        lambda slot: parameters[slot["name"]] if slot["name"] else slot["one"] if is_one else slot["many"], template
    )


def slots_of(template: str) -> set[str]:
    """The names of its parameters."""
    return {slot["name"] for slot in _SLOT.finditer(template) if slot["name"]}

"""What mends a failed check: a command, a line of the user's own files, the provider, or time alone.

Here: what to do about one failure. Not here: what mends which check (``mended_by`` of ``seeds/quality_checks.csv``),
which failures there are, and in what order to mend them (``warehouse.todo``).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import date
from typing import Literal

from climkit_pipeline.languages.sentences import parameters_of, templates

Remedy = Literal["fetch", "wait", "settle", "line", "correct", "others", "leave"]
"""Ask again; wait; settle; a line of meters.csv; have the provider correct it; mend the meters that it was worked out
of; nothing brings it back."""

ABOUT_THE_SITE: frozenset[Remedy] = frozenset({"fetch", "wait", "settle"})
"""Mended at once for all meters of a site."""
FORGOTTEN = "days of it were forgotten on purpose (config/forgotten.csv)"


@dataclass(frozen=True)
class Failure:
    """A check that failed in a month, and that nobody accepted; no meter: of the site as a whole."""

    site_id: str
    meter_id: str | None
    check_name: str
    sentence: str
    position: int
    spreads: bool
    """Whether it makes the values of others doubtful."""
    waits_last: bool
    """Whether it is no reason of a line as long as anything else is wrong; it holds up the line all the same."""
    accepted_for: str
    mended_by: Remedy
    """What mends a failure of the check; where days were forgotten, ``remedy`` may be another."""
    first_day: date
    last_day: date
    forgotten: Literal["closed month", "open month"] | None = None
    """Whether days of the meter among these were forgotten, and whether the month is closed."""

    @property
    def remedy(self) -> Remedy:
        """What kind of thing mends it."""
        return "leave" if self.forgotten and self.mended_by != "others" else self.mended_by

    @property
    def names_in_sentence(self) -> list[str]:
        """The meters that a sentence about others names."""
        found = parameters_of(self.sentence, templates()[self.check_name]) or {}
        return found.get("detail", "").split(", ")

    def advice(self, site: str) -> list[str]:
        """What to do, one way per line; ``site`` is what commands call the site."""
        days = f"{self.first_day} {self.last_day}"
        again = f"climkit backfill {days} --site {shlex.quote(site)} --refetch"
        if self.remedy == "wait":
            return ["wait, and ask again later: climkit backfill as the days go by"]
        if self.remedy == "settle":
            return [f"climkit settle {self.first_day:%Y-%m} --site {shlex.quote(site)} --why TEXT"]
        if self.remedy == "line":
            return [self._line()]
        if self.forgotten == "closed month" and self.remedy == "leave":
            return [f"{FORGOTTEN}: leave the bill as it was closed"]
        way = {
            "fetch": again,
            "leave": f"{FORGOTTEN}: no call brings them back",
            "others": f"mend or accept what is wrong with {', '.join(self.names_in_sentence)}",
        }.get(self.remedy, f"have it corrected by the provider, then: {again}")
        return [way, *self._accept(site)]

    def _line(self) -> str:
        found = parameters_of(self.sentence, templates()[self.check_name]) or {}
        column, value = {
            "starts_inside": ("in_service_from", found.get("detail", str(self.first_day))),
            "ends_inside": ("in_service_until", found.get("detail", str(self.last_day))),
            "replaced": ("replaced_at", str(self.first_day)),
            "unknown_role": ("mode", "consumption"),
            "listed_twice": ("is_billed", "false"),
        }[self.check_name]
        return f"in config/meters.csv (site_id,meter_id,{column}): {self.site_id},{self.meter_id},{value}"

    def _accept(self, site: str) -> list[str]:
        if self.accepted_for == "never":
            return []
        meter = "" if self.meter_id is None else f" --meter {shlex.quote(self.meter_id)}"
        return [
            f"or, if it is right as it is: climkit accept {self.check_name} --site {shlex.quote(site)}{meter} "
            f"--from {self.first_day} --to {self.last_day} --by WHO --why TEXT"
        ]

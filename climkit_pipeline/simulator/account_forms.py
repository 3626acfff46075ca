"""How an account behaves that is not as documented: what a server does to every call, not to one by chance.

Here: the forms, and how they are written on a command line. Not here: faults of single answers (``simulator.faults``)
and of the data (``simulator.data_faults``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from decimal import Decimal

from climkit_pipeline.simulator.registers import SplitRule
from climkit_pipeline.simulator.sites import TEN_WATT_HOURS


@dataclass(frozen=True)
class AccountForm:
    """What is odd about an account; nothing, unless said."""

    refuses_early: bool = False
    """Status 400 to every window of a meter's series that begins before the meter exists."""
    newest_rows: int = 0
    """An answer of a series holds so many rows at most, the newest of its window; 0: all."""
    created_days_late: int = 0
    """So many days after the first data is what ``creation_date`` states."""
    edge_rows: int = 0
    """So many rows at the start of each window of intervals are 0, whatever was counted."""
    clock_seconds: int = 0
    """How far the server's clock is ahead of the true time."""
    older_listing: bool = False
    """Lists of meters have neither names nor modes."""
    signed_split: bool = False
    """A consumer's solar part is below 0 where the site's own energy is, instead of 0."""
    coarse_registers: bool = False
    """All electricity registers count in steps of 10 Wh."""
    wide_columns: bool = False
    """A site's answer holds the columns of each of its meters, too: ``total_<meter id>`` and so on."""

    @property
    def clock_offset(self) -> timedelta:
        """The same as a duration."""
        return timedelta(seconds=self.clock_seconds)

    @property
    def split_rule(self) -> SplitRule:
        """How a world of this form shares out its solar energy."""
        return "signed" if self.signed_split else "clipped"

    @property
    def register_step(self) -> Decimal | None:
        """The step of electricity registers in kWh; None is each meter's own."""
        return TEN_WATT_HOURS if self.coarse_registers else None

    @classmethod
    def parse(cls, text: str) -> AccountForm:
        """The form written as ``refuses_early,newest_rows=1000``; ValueError says what is wrong and what there is."""
        names = [each.name for each in fields(cls)]
        flags = {each.name for each in fields(cls) if each.default is False}
        found: dict[str, int | bool] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if name not in names:
                raise ValueError(f"no form of an account is called {name!r}; there are: {', '.join(names)}")
            if name in flags and not equals:
                found[name] = True
                continue
            if name in flags:
                raise ValueError(f"{name} takes no value")
            try:
                found[name] = int(value)
            except ValueError as error:
                raise ValueError(f"{name} needs a number{'' if equals else ' after ='}, not {value!r}") from error
        return cls(**found)  # type: ignore[arg-type]

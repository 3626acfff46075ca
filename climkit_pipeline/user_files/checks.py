"""What the user's files may say of a check: which there are, and for what a failure can be accepted."""

from __future__ import annotations

import difflib
from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, cast

from climkit_pipeline.installation import PROJECT_DIR, seed_rows
from climkit_pipeline.user_files.lines import Decision

CHECKS_FILE = PROJECT_DIR / "seeds" / "quality_checks.csv"
"""The checks that there are, one per line; its first column holds their names."""

AcceptedFor = Literal["days", "months", "never"]
"""For what a failure can be accepted: any days, whole months alone (what is judged by months), or never."""


@dataclass(frozen=True)
class KnownCheck:
    """What the list of checks says of one of them."""

    severity: str
    accepted_for: AcceptedFor


def known_checks() -> dict[str, KnownCheck] | None:
    """All checks by name; None while there is no list of them."""
    if not CHECKS_FILE.exists():
        return None
    return {
        row["check_name"]: KnownCheck(row["severity"], cast("AcceptedFor", row["accepted_for"]))
        for row in seed_rows(CHECKS_FILE.stem)
    }


def never_accepted(decision: Decision, checks: Mapping[str, KnownCheck]) -> str | None:
    """What to say of a decision about a failure that nobody can accept."""
    if decision.action == "exclude" or _accepted_for(decision, checks) != "never":
        return None
    return (
        f"{decision.check_name} cannot be accepted: more data, time or a settlement mends it (its reason says which); "
        "exclude takes the meter off the bill"
    )


def _accepted_for(decision: Decision, checks: Mapping[str, KnownCheck]) -> AcceptedFor | None:
    check = checks.get(decision.check_name)
    return None if check is None else check.accepted_for


def part_of_a_month(decision: Decision, checks: Mapping[str, KnownCheck]) -> str | None:
    """What to say of a decision that holds for a part of a month, where the check judges months."""
    if decision.action == "exclude" or _accepted_for(decision, checks) != "months":
        return None
    first, last = decision.first_day, decision.last_day
    parts = {f"{day:%Y-%m}" for day in (first, last) if not first <= day.replace(day=1) <= _month_end(day) <= last}
    if not parts:
        return None
    return (
        f"{decision.check_name} is judged by whole months, and {' and '.join(sorted(parts))} is not wholly "
        f"within {first} to {last}: nothing is accepted there"
    )


def _month_end(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def unknown_check(name: str, offered: Sequence[str]) -> str:
    """What to say of a check that there is not."""
    meant = difflib.get_close_matches(name, offered)
    advice = f"did you mean {' or '.join(meant)}?" if meant else f"accepted: {', '.join(offered)}"
    return f"there is no check {name!r}; {advice}"


def acceptable(checks: Mapping[str, KnownCheck]) -> list[str]:
    """The checks of which a failure can be accepted."""
    return sorted(name for name, check in checks.items() if check.accepted_for != "never")


def tolerable(checks: Mapping[str, KnownCheck]) -> list[str]:
    """The checks that can have another tolerance."""
    return sorted(name for name, check in checks.items() if check.severity == "warns" or check.accepted_for != "never")

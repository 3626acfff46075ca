"""Remarks that the bill and the report share, so that both say the same."""

from __future__ import annotations

from decimal import Decimal

from climkit_pipeline.languages.words import Words

SHOWN = Decimal("0.0005")
"""What is less is nothing with the three decimals of a bill."""


def grid_to_nobody(amount_kwh: Decimal | None, words: Words) -> str | None:
    """Why the grid energy of the lines is not that of the site; None where it is. By site_balance_monthly."""
    if amount_kwh is None or abs(amount_kwh) < SHOWN:
        return None
    amount = f"{abs(amount_kwh):.3f}".replace(".", words.decimal_sign)
    if amount_kwh < 0:
        return words.say(
            "{amount} kWh more grid energy is billed than the site drew: so the provider splits it.", amount=amount
        )
    return words.say(
        "{amount} kWh of the site's grid energy are billed to nobody: the provider's split counts them as solar.",
        amount=amount,
    )

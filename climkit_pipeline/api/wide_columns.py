"""A meter's series out of an answer about its site, which may hold ``total_<meter id>``, ``self_…`` and ``ext_…``.

Here: which fields are whose, and whether they are all there. Not here: whether they can be trusted (``ingest``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PARTS = ("self", "ext")
_ABSENT = object()
LARGEST_RESIDUE = 1e-6
"""kWh or m3: what binary fractions leave of a sum of many meters is less."""


def meter_rows(payload: object, meter_id: str, *, has_split: bool | None) -> list[dict[str, Any]] | None:
    """A meter's rows as ``/meter_data`` would answer them; None unless each of its fields is there as numbers.

    ``has_split`` says whether parts belong to the total; None: they do if they are there. A row in which the meter's
    total is null or absent is no row of the meter.
    """
    if not isinstance(payload, list) or not all(isinstance(row, Mapping) for row in payload):
        return None
    own = [row for row in payload if row.get(f"total_{meter_id}") is not None]
    columns = {name: [row.get(f"{name}_{meter_id}", _ABSENT) for row in own] for name in ("total", *PARTS)}
    if has_split is None:
        has_split = any(value is not _ABSENT for name in PARTS for value in columns[name])
    names = ("total", *PARTS) if has_split else ("total",)
    if not own or not all(_are_numbers(columns[name]) for name in names):
        return None
    columns["timestamp"] = [row.get("timestamp") for row in own]
    fields = (*names, "timestamp")
    return [dict(zip(fields, row, strict=True)) for row in zip(*(columns[name] for name in fields), strict=True)]


def parts_add_up(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the parts of a meter's total, where it has both, are the whole of it in every row."""
    return all(
        abs(row["total"] - row["self"] - row["ext"]) <= LARGEST_RESIDUE for row in rows if row.keys() >= set(PARTS)
    )


def holds_wide_columns(payload: object) -> bool:
    """Whether any meter's total is in an answer about a site."""
    return isinstance(payload, list) and any(
        isinstance(row, Mapping) and any(key.startswith("total_") for key in row) for row in payload
    )


def adds_up(payload: Sequence[Mapping[str, Any]], meter_ids: Iterable[str]) -> bool:
    """Whether ``conso_total`` is the sum of these meters' totals in every row."""
    fields = [f"total_{meter_id}" for meter_id in meter_ids]

    def does(row: Mapping[str, Any]) -> bool:
        totals = [row[field] for field in fields if row.get(field) is not None]
        if not _are_numbers([*totals, row.get("conso_total")]):
            return False
        return bool(abs(row["conso_total"] - sum(totals)) <= LARGEST_RESIDUE)

    return bool(fields) and all(map(does, payload))


def _are_numbers(values: Iterable[object]) -> bool:
    """Whether all are; a truth value is none."""
    return set(map(type, values)) <= {int, float}

"""The state of the data in Dagster's UI: checks that people read, and tables and pictures on each materialization.

Thin: what is asked and drawn is in ``warehouse.data_checks``, ``warehouse.pictures`` and ``warehouse.data_state``.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import dagster as dg

from climkit_pipeline.defs.keys import model_key
from climkit_pipeline.warehouse.data_checks import DATA_CHECKS
from climkit_pipeline.warehouse.data_checks.question import MOST_ROWS, DataCheck
from climkit_pipeline.warehouse.data_state import DataState
from climkit_pipeline.warehouse.pictures import GRADES


def _key(check: DataCheck) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(model_key(check.table), check.name)


def data_check_specs() -> list[dg.AssetCheckSpec]:
    """The checks as the UI lists them; none of them keeps anything from being published."""
    return [
        dg.AssetCheckSpec(check.name, asset=_key(check).asset_key, description=check.description)
        for check in DATA_CHECKS
    ]


def selected_data_checks(selected: Iterable[dg.AssetCheckKey]) -> list[DataCheck]:
    """Those of a run's checks that are about the data."""
    wanted = set(selected)
    return [check for check in DATA_CHECKS if _key(check) in wanted]


def data_check_results(state: DataState) -> Iterator[dg.AssetCheckResult]:
    """The answers as Dagster keeps them: a warning about data, an error only where there was nothing to answer with."""
    for check, answer in state.answers:
        metadata: dict[str, Any] = dict(answer.figures)
        if answer.rows:
            is_cut = len(answer.rows) > len(answer.shown)
            metadata[f"table (the first {MOST_ROWS} of {len(answer.rows)})" if is_cut else "table"] = table_of(
                answer.shown
            )
        yield dg.AssetCheckResult(
            asset_key=_key(check).asset_key,
            check_name=check.name,
            passed=answer.passed,
            severity=dg.AssetCheckSeverity.WARN if answer.could_compute else dg.AssetCheckSeverity.ERROR,
            description=answer.sentence,
            metadata=metadata,
        )


def table_metadata(state: DataState, table: str) -> dict[str, Any]:
    """What a materialization of ``table`` shows beside what was done; the names are stable, so that they plot."""
    found: dict[str, Any] = {}
    if table in state.row_counts:
        found["dagster/row_count"] = state.row_counts[table]
    if table == "billing_monthly" and state.grades:
        found |= {f"meters {grade}": sum(row[grade] for row in state.grades) for grade in GRADES}
        found["grades by month"] = picture_of(state.grades_svg, "grades by month")
        found["grades by site and month"] = _grades_table(state)
    elif table == "data_quality_monthly" and state.grades:
        found["completeness of the last days"] = state.completeness
        found["completeness by site and day"] = picture_of(state.completeness_svg, "completeness by site and day")
        found["grades by site and month"] = _grades_table(state)
    return {name: value for name, value in found.items() if value is not None}


def _grades_table(state: DataState) -> dg.TableMetadataValue:
    hidden = {"site_id"}
    rows = [{name: value for name, value in row.items() if name not in hidden} for row in state.grades[:MOST_ROWS]]
    return table_of(rows)


def table_of(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Rows with the same columns, as a table of the UI."""
    kinds = {bool: "bool", int: "int", float: "float", Decimal: "float"}
    columns = []
    for name in rows[0]:
        sample = next((row[name] for row in rows if row[name] is not None), None)
        columns.append(dg.TableColumn(name, kinds.get(type(sample), "string")))
    records = [dg.TableRecord({name: _cell(name, value) for name, value in row.items()}) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def picture_of(svg: str | None, title: str) -> dg.MarkdownMetadataValue | None:
    """A Markdown image that carries its bytes with it: no server has to be asked for it."""
    if svg is None:
        return None
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")


def _cell(column: str, value: Any) -> str | float | bool | None:  # noqa: ANN401 - whatever a column holds
    if column == "month" and isinstance(value, date):
        return f"{value:%Y-%m}"  # a narrow column would break its first day in two
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else str(value)

"""What the UI says of an asset beside its description: owners, groups, where it lies, its columns and their types.

Applied to finished assets, so that those who make them need not know.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from climkit_pipeline.defs.keys import LAKE_PREFIX
from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS, INSTANT, VERSION_COLUMNS
from climkit_pipeline.settings import Settings
from climkit_pipeline.warehouse.project import FOLDERS, load_project
from climkit_pipeline.warehouse.queries import column_types

SUPPORT = frozenset(
    {
        "bill_rows",
        "billing_closed_versions",
        "billing_days",
        "billing_settings",
        "calendar_days",
        "calendar_months",
        "closed_changes",
        "meter_intervals_superseded",
        "meter_month_measures",
        "meter_months",
    }
)
"""Published tables that functions and views read, and analysts seldom: apart from those that README begins with."""

TYPES: Mapping[object, str] = {
    pl.String: "string",
    pl.Int64: "int",
    pl.Float64: "float",
    pl.Boolean: "bool",
    INSTANT: "timestamp with time zone",
}
"""The types of the lake's columns, in words that the UI has signs for."""

VERSION_DESCRIPTIONS = {
    "extra": "Fields of the answer that are known to nobody, as JSON text; null if there are none.",
    "fetched_at_utc": "When this value was first seen (UTC).",
    "superseded_at_utc": "When another value replaced it (UTC); null: it is the current one.",
}


def described(assets: dg.AssetsDefinition, settings: Settings) -> dg.AssetsDefinition:
    """The same assets with all of that."""
    layout = Layout(settings.data_dir)
    types = _built_types(layout)

    def describe(spec: dg.AssetSpec) -> dg.AssetSpec:
        prefix, name = spec.key.path
        if prefix == LAKE_PREFIX:
            lake_details: dict[str, Any] = {
                "dagster/column_schema": _lake_columns(name),
                "path": dg.MetadataValue.path(str(layout.dataset(name))),
            }
            return spec.merge_attributes(owners=settings.owners, metadata=lake_details)
        details: dict[str, Any] = {
            "dagster/column_schema": _table_columns(name, types.get(name, {})),
            "dagster/table_name": load_project().models[name].relation,
            "path": dg.MetadataValue.path(str(layout.warehouse)),
        }
        # Numbered, because the UI sorts them by name: so the list of groups reads like the way of the data.
        group = f"{FOLDERS.index(str(spec.group_name))}_{spec.group_name}" + ("_support" if name in SUPPORT else "")
        return spec.merge_attributes(owners=settings.owners, metadata=details).replace_attributes(group_name=group)

    (changed,) = dg.map_asset_specs(describe, [assets])
    assert isinstance(changed, dg.AssetsDefinition)  # noqa: S101 - as the one that came in
    return changed


def _built_types(layout: Layout) -> Mapping[str, Mapping[str, str]]:
    try:
        return column_types(layout.warehouse)
    except WarehouseError:  # nothing is published yet: the columns are known, their types are not
        return {}


def _table_columns(name: str, types: Mapping[str, str]) -> dg.TableSchema:
    columns = load_project().models[name].columns
    return dg.TableSchema(
        [dg.TableColumn(column, types.get(column, "unknown"), description=text) for column, text in columns.items()]
    )


def _lake_columns(dataset: str) -> dg.TableSchema:
    """As the lake's contract states them; what they mean is said by the table of the same name."""
    said = load_project().models[dataset].columns
    return dg.TableSchema(
        [
            dg.TableColumn(
                column,
                TYPES[kind],
                description=VERSION_DESCRIPTIONS[column] if column in VERSION_COLUMNS else said.get(column),
                constraints=dg.TableColumnConstraints(nullable=column not in DATASETS[dataset].key),
            )
            for column, kind in DATASETS[dataset].schema.items()
        ]
    )

"""The data package, read by programs that know nothing of us: Frictionless, and Parquet's own metadata."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from frictionless import Package

from climkit_pipeline.errors import QueryError
from climkit_pipeline.warehouse.data_package import write_data_package
from climkit_pipeline.warehouse.project import load_project

VIEWS = {name: model for name, model in load_project().models.items() if model.folder == "analysis"}


@pytest.fixture(scope="module")
def folder(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package") / "new"
    write_data_package(built.layout.warehouse, folder)
    return folder


def test_frictionless_finds_nothing_wrong_and_knows_every_column_and_key(folder):
    descriptor = str(folder / "datapackage.json")
    assert Package.validate_descriptor(descriptor).flatten() == []
    package = Package(descriptor)
    assert {resource.name for resource in package.resources} == set(VIEWS)
    for resource in package.resources:
        fields = resource.schema.fields
        assert {field.name: field.description for field in fields} == dict(VIEWS[resource.name].columns)
        assert set(resource.schema.primary_key) <= {field.name for field in fields}
        assert resource.bytes == (folder / resource.path).stat().st_size
    assert package.get_resource("flat_days").schema.primary_key == [
        "site_id",
        "billing_point",
        "meter_type",
        "local_date",
    ]
    assert package.get_resource("meter_flows").schema.get_field("power_kw").type == "number"


def test_its_days_are_those_of_the_series(folder, built):
    """Readings are asked for from the day before on, which no table begins with."""
    asked = [
        day
        for (dataset, day), covered in built.lake.coverage.items()
        if dataset in {"meter_intervals", "site_intervals"} and covered
    ]
    description = json.loads((folder / "datapackage.json").read_text())["description"]
    assert description.startswith(f"Days {min(asked)} to {max(asked)} of 2 sites")


def test_each_file_holds_the_rows_of_its_view_and_its_comments(folder, built):
    for name, model in VIEWS.items():
        path = folder / f"{name}.parquet"
        schema = pq.read_schema(path)
        assert schema.metadata[b"description"].decode() == model.description
        assert {each.name: each.metadata[b"description"].decode() for each in schema} == dict(model.columns)
        # Without the zone, which the session that reads has.
        rows = duckdb.sql(f"select count(*) from '{str(path).replace(chr(39), chr(39) * 2)}'").fetchall()
        assert rows == built.rows(f"select count(*) from analysis.{name}")


def test_tables_and_days_can_be_chosen(built, tmp_path):
    [written] = write_data_package(built.layout.warehouse, tmp_path, tables=["meter_days"], since=date(2026, 10, 30))
    days = pq.read_table(tmp_path / "meter_days.parquet")["local_date"]
    assert (written.rows, min(days.to_pylist())) == (len(days), date(2026, 10, 30))
    with pytest.raises(QueryError, match="no table 'nothing'"):
        write_data_package(built.layout.warehouse, tmp_path, tables=["nothing"])


def test_the_pages_examples_of_duckdb_and_polars_run(built, folder):
    """As they stand on the page, but for where the data lie."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "analysis_tools.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(examples) == 2
    names: dict[str, Any] = {}
    given = {"warehouse_file": str(built.layout.warehouse), "package": str(folder)}
    for example in examples:
        placed = example.replace('"data/warehouse.duckdb"', "warehouse_file").replace('"package/', 'package + "/')
        exec(placed, given, names)  # noqa: S102 - our own page
    names["warehouse"].close()
    assert len(names["days"]) == 2
    assert dict(names["comments"]) == dict(VIEWS["flat_days"].columns)
    assert names["solar"].height == 4

"""The dbt command: arguments, environment, manifest."""

from __future__ import annotations

import json
import os

import pytest
import yaml

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS, JOURNALS
from climkit_pipeline.warehouse.dbt_project import (
    PROJECT_DIR,
    build_arguments,
    dbt_environment,
    ensure_manifest,
    models_version,
    project_files,
    run_dbt,
)
from climkit_pipeline.warehouse.lake_state import WRITE_OPTIONS


def test_a_refresh_leaves_unit_tests_out():
    assert build_arguments() == ["build", "--exclude-resource-type", "unit_test"]
    assert build_arguments(full_refresh=True, select=["meter_days+"])[3:] == [
        "--full-refresh",
        "--select",
        "meter_days+",
    ]


def test_everything_of_dbt_lies_under_the_data_directory(tmp_path):
    environment = dbt_environment(Layout(tmp_path))
    for name in ("CLIMKIT_BUILD_FILE", "DBT_TARGET_PATH", "DBT_LOG_PATH"):
        assert environment[name].startswith(str(tmp_path))


def test_the_version_follows_sql_and_nothing_else():
    assert models_version() == models_version()
    assert PROJECT_DIR / "dbt_project.yml" in project_files()


def test_manifest_is_made_without_data_and_only_when_it_is_stale(tmp_path):
    layout = Layout(tmp_path / "data")
    manifest = ensure_manifest(layout)
    sources = {
        node["name"]
        for node in json.loads(manifest.read_text())["sources"].values()
        if node["source_name"] == "climkit"
    }
    assert sources == {*DATASETS, *(f"{name}_coverage" for name in DATASETS), *(each.name for each in JOURNALS)}
    made = manifest.stat().st_mtime_ns
    assert ensure_manifest(layout).stat().st_mtime_ns == made
    os.utime(manifest, ns=(1, 1))
    assert ensure_manifest(layout).stat().st_mtime_ns > 1
    assert {path.name for path in layout.root.iterdir()} == {"build"}


def test_python_and_dbt_write_the_same_format():
    """A file that only one of them writes the old way is refused by older readers, now and then."""
    profile = yaml.safe_load((PROJECT_DIR / "profiles.yml").read_text())
    assert profile["climkit"]["outputs"]["build"]["config_options"] == WRITE_OPTIONS


def test_a_failure_outside_any_model_is_told_in_one_line(built):
    with pytest.raises(WarehouseError) as caught:
        run_dbt(built.layout, ["build", "--no-such-option"])
    assert "no-such-option" in str(caught.value)
    assert "\n" not in str(caught.value)

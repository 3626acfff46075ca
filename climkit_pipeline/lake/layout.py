"""Where things lie under the data directory: names only, no reading or writing.

The names are a contract with users (docs/warehouse.md); nothing else in the project spells a path.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

EMPTY_PARTITION = "day=__HIVE_DEFAULT_PARTITION__"
"""Hive's name for null: holds files without rows, so that no reader ever meets a pattern without files."""

FORMAT_VERSION = "2"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one data directory, which must be absolute."""

    root: Path

    @property
    def lake(self) -> Path:
        """Parquet files, the part to back up."""
        return self.root / "lake"

    @property
    def landing(self) -> Path:
        """Answers received and not yet committed."""
        return self.root / "landing"

    @property
    def config(self) -> Path:
        """The user's own inputs."""
        return self.root / "config"

    @property
    def closed(self) -> Path:
        """Frozen months."""
        return self.root / "closed"

    @property
    def warehouse(self) -> Path:
        """The published warehouse."""
        return self.root / "warehouse.duckdb"

    @property
    def reports(self) -> Path:
        """Monthly reports, unless somebody writes them elsewhere."""
        return self.root / "reports"

    @property
    def account(self) -> Path:
        """Whose data these are."""
        return self.root / "account.json"

    @property
    def format(self) -> Path:
        """The version of the lake's format."""
        return self.root / "FORMAT"

    @property
    def build(self) -> Path:
        """Private: build file, locks."""
        return self.root / "build"

    @property
    def build_file(self) -> Path:
        """The database that the models write; named as the published one, so that its catalog has the same name."""
        return self.build / "warehouse.duckdb"

    @property
    def locks(self) -> Path:
        """Kernel lock files."""
        return self.build / "locks"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance, unless DAGSTER_HOME says otherwise."""
        return self.root / "dagster"

    def dataset(self, dataset: str) -> Path:
        """All days of a dataset, or of a journal."""
        return self.lake / dataset

    def day(self, dataset: str, day: date) -> Path:
        """One partition of a dataset."""
        return self.lake / dataset / f"day={day.isoformat()}"

    def data_file(self, dataset: str, day: date) -> Path:
        """The rows of one day."""
        return self.day(dataset, day) / "data.parquet"

    def coverage_file(self, dataset: str, day: date) -> Path:
        """What was asked for that day, and how complete the answers were."""
        return self.day(dataset, day) / "coverage.parquet"

    def lock(self, name: str) -> Path:
        """The lock file called ``name``."""
        return self.locks / f"{name}.lock"

    def commit_lock(self, dataset: str) -> Path:
        """Held by whoever changes files of a dataset or journal."""
        return self.lock(f"commit-{dataset}")

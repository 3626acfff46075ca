"""The SQL models as dbt sees them: where they lie, the environment and arguments of dbt, the manifest, running it.

Here: everything about the dbt command that is the same with Dagster and without. Not here: Dagster's own runner
(``defs``), which uses the same environment and arguments.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.files import file_lock
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse.lake_state import fingerprint

PROJECT_DIR = Path(__file__).resolve().parents[2] / "dbt_like_sql"
"""The dbt project, beside the package: it is installed editable."""

_MODEL_FOLDERS = ("models", "macros", "seeds")
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "SYSTEMROOT")


def project_files() -> list[Path]:
    """Every file that dbt reads, ascending."""
    if not (PROJECT_DIR / "dbt_project.yml").is_file():
        raise WarehouseError(f"the SQL models are not where they belong ({PROJECT_DIR}); install the project editable")
    return sorted(path for path in PROJECT_DIR.rglob("*") if path.suffix in {".sql", ".yml", ".csv", ".md"})


def models_version() -> str:
    """A hash of the SQL and seeds that build tables: when it changes, what older SQL has built counts for nothing."""
    built = [
        path
        for path in project_files()
        if path.suffix in {".sql", ".csv"} and path.relative_to(PROJECT_DIR).parts[0] in _MODEL_FOLDERS
    ]
    return fingerprint(built, PROJECT_DIR)


def dbt_environment(layout: Layout, build_file: Path | None = None) -> dict[str, str]:
    """The variables that dbt needs for one data directory; all paths absolute, no secrets."""
    return {
        "CLIMKIT_BUILD_FILE": str(build_file or layout.build_file),
        "DBT_PROJECT_DIR": str(PROJECT_DIR),
        "DBT_PROFILES_DIR": str(PROJECT_DIR),
        "DBT_TARGET_PATH": str(layout.dbt_target),
        "DBT_LOG_PATH": str(layout.dbt_target / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
        "DO_NOT_TRACK": "1",
    }


def build_arguments(*, full_refresh: bool = False, select: Sequence[str] = ()) -> list[str]:
    """The arguments of a refresh: models and data tests; unit tests say nothing about data and are left out."""
    arguments = ["build", "--exclude-resource-type", "unit_test"]
    if full_refresh:
        arguments.append("--full-refresh")
    if select:
        arguments += ["--select", *select]
    return arguments


def manifest_path(layout: Layout) -> Path:
    """Where the manifest of a data directory lies."""
    return layout.dbt_target / "manifest.json"


def ensure_manifest(layout: Layout) -> Path:
    """The manifest's path, parsed first if it is missing or older than any file of the project; works offline."""
    manifest = manifest_path(layout)
    if _is_stale(manifest):
        with file_lock(layout.lock("manifest")):
            if _is_stale(manifest):  # another process may have made it while this one waited
                run_dbt(layout, ["parse"])
                # dbt leaves an equal manifest as it is; its age must say that it was checked.
                manifest.touch()
    return manifest


def _is_stale(manifest: Path) -> bool:
    try:
        made = manifest.stat().st_mtime_ns
    except FileNotFoundError:
        return True
    return any(path.stat().st_mtime_ns > made for path in project_files())


@dataclass(frozen=True)
class DbtNode:
    """What became of one model or test."""

    kind: str
    """``model`` or ``test`` (dbt's resource type)."""
    name: str
    status: str
    """dbt's word: success, pass, warn, fail, error, skipped."""
    seconds: float
    message: str


@dataclass(frozen=True)
class DbtReport:
    """What a run of dbt did."""

    nodes: list[DbtNode]
    problem: str | None
    """One line that names each failing node with the first lines of its message; None if all is well."""

    @property
    def counts(self) -> dict[str, int]:
        """How many nodes ended in each status."""
        return dict(Counter(node.status for node in self.nodes))

    def check(self) -> None:
        """Raise WarehouseError if anything failed."""
        if self.problem is not None:
            raise WarehouseError(self.problem)


def run_dbt(
    layout: Layout,
    arguments: Sequence[str],
    *,
    build_file: Path | None = None,
    check: bool = True,
    keep_open: Sequence[int] = (),
) -> DbtReport:
    """Run dbt in a process of its own, so that the build file is free when it ends; it inherits ``keep_open``.

    Raises WarehouseError if anything failed, unless ``check`` is false: the report then says so.
    """
    layout.dbt_target.mkdir(parents=True, exist_ok=True)
    results = layout.dbt_target / "run_results.json"
    results.unlink(missing_ok=True)
    # Only what dbt needs: neither the API's password nor a stray DBT_ variable has a place in it.
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= dbt_environment(layout, build_file)
    command = [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "--log-format", "text", *arguments]
    finished = subprocess.run(  # noqa: S603 - our own command, no shell
        command,
        cwd=PROJECT_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=tuple(keep_open),
    )
    entries = json.loads(results.read_text())["results"] if results.exists() else []
    nodes = [_node(entry) for entry in entries]
    failing = "; ".join(f"{node.name}: {node.message}" for node in nodes if node.status in {"error", "fail"})
    problem = None
    if finished.returncode != 0 or failing:
        problem = f"dbt {arguments[0]} failed: {failing or _last_lines(finished)}"
    report = DbtReport(nodes, problem)
    if check:
        report.check()
    return report


def _node(entry: dict[str, Any]) -> DbtNode:
    kind, _, name = entry["unique_id"].split(".")[:3]
    return DbtNode(kind, name, entry["status"], entry["execution_time"], _one_line(entry["message"]))


def _one_line(message: str | None) -> str:
    return " ".join((message or "no message").split())[:300]


def _last_lines(finished: subprocess.CompletedProcess[str]) -> str:
    lines = (finished.stdout + finished.stderr).strip().splitlines()
    return _one_line(" ".join(lines[-2:])) if lines else f"exit status {finished.returncode}"

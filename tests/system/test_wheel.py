"""An installation from a wheel, in a folder that knows nothing of the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from accounts import REPOSITORY, Account, Finished, account_for, bare_environment, run_command

from climkit_pipeline.simulator import SimulatorServer, World
from climkit_pipeline.warehouse.project import models_version


@dataclass(frozen=True)
class Installation:
    """A virtual environment with the wheel in it, and a folder to work in."""

    bin: Path
    folder: Path

    def run(self, program: str, *arguments: str, environment: dict[str, str] | None = None) -> Finished:
        return run_command(
            [str(self.bin / program), *arguments], environment or bare_environment(self.folder), self.folder
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # A copy without what earlier builds left: setuptools would take that along.
    source = folder / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (REPOSITORY / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((REPOSITORY / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(command, check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    # The dependencies of the environment that runs the tests. As a path its own .pth files are not read, among them the
    # one that makes the checkout importable.
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installation(folder / "venv" / "bin", folder)


@pytest.fixture(scope="module")
def account(installation: Installation) -> Iterator[Account]:
    with SimulatorServer(World(seed=7, sites=1, meters=3), requests_per_second=500) as server:
        yield account_for(server, installation.folder)


def test_the_wheel_holds_every_file_of_the_models_and_no_test(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    listed = subprocess.run(
        ["git", "ls-files", "dbt_like_sql", "deploy", "dagster.yaml", "workspace.yaml", "workspace.service.yaml"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert {f"climkit_pipeline/_shipped/{name}" for name in listed if (REPOSITORY / name).exists()} <= names
    assert {f"climkit_pipeline/languages/{language}.po" for language in ("de", "fr", "it")} <= names
    assert not [name for name in names if name.startswith(("tests/", "dbt_like_sql/", "docs/"))]
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"climkit_pipeline"}


def test_it_is_the_installed_package_with_the_same_models(installation):
    """Else all that follows would test the checkout once more."""
    code = (
        "import climkit_pipeline; from climkit_pipeline.warehouse.project import models_version;"
        "print(climkit_pipeline.__file__, models_version())"
    )
    done = installation.run("python", "-c", code)
    place, version = done.out.split()
    assert Path(place).is_relative_to(installation.folder)
    assert version == models_version()


def test_help_names_every_command(installation):
    done = installation.run("climkit", "--help")
    assert done.status == 0, done.err
    assert {"backfill", "serve", "backup", "restore", "tidy"} <= set(done.out.split())


def test_a_backfill_and_its_models_run_from_any_folder(installation, account):
    environment = account.environment
    done = installation.run("climkit", "backfill", "2026-10-01", "2026-10-02", environment=environment)
    assert done.status == 0, done.err
    rows = installation.run("climkit", "query", "select count(*) from billing_monthly", "--format", "csv",
                            environment=environment)  # fmt: skip
    assert int(rows.out.split()[1]) > 0
    again = installation.run("climkit", "refresh", environment=environment)
    assert "nothing changed" in again.err


def test_dagster_loads_the_definitions_from_any_folder(installation, account):
    shipped = next(installation.folder.glob("venv/lib/python*/site-packages/climkit_pipeline/_shipped"))
    environment = account.environment | {"DAGSTER_HOME": str(account.data_dir / "dagster")}
    code = "from dagster._cli import main; main()"  # the program's script lies with the dependencies
    for where in (["-w", str(shipped / "workspace.yaml")], ["-m", "climkit_pipeline.definitions"]):
        done = installation.run("python", "-c", code, "definitions", "validate", *where, environment=environment)
        assert done.status == 0, done.err
        assert "All code locations passed validation" in done.out + done.err

"""What pyproject.toml cannot say: a wheel carries the SQL models and Dagster's files, which stay at the top here."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

TOP = Path(__file__).resolve().parent
SHIPPED = ("dbt_like_sql", "deploy", "dagster.yaml", "workspace.yaml", "workspace.service.yaml")
NOT_SHIPPED = shutil.ignore_patterns("target", "logs", ".user.yml", "secrets", ".env")


class BuildWithModels(build_py):
    """Copies them into the package, where ``installation.ROOT_DIR`` looks for them."""

    def run(self) -> None:
        """Build as usual, then copy; an editable installation finds the checkout itself."""
        super().run()
        if self.editable_mode:
            return
        shipped = Path(self.build_lib) / "climkit_pipeline" / "_shipped"
        shutil.rmtree(shipped, ignore_errors=True)  # what an earlier build left would outlive its deletion here
        shipped.mkdir(parents=True)
        for name in SHIPPED:
            source = TOP / name
            if source.is_dir():
                shutil.copytree(source, shipped / name, ignore=NOT_SHIPPED)
            else:
                shutil.copy2(source, shipped / name)


setup(cmdclass={"build_py": BuildWithModels})

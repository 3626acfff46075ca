"""A backup of a data directory, and the way back: what cannot be built or fetched again.

    TARGET/2026-11-28T04-00-00Z/   SHA256SUMS  account.json  FORMAT  lake/  config/  closed/  dagster/

Each is whole; files that have not changed since the one before are hard links to it, so that a daily backup costs what
changed. Others may go on working: of each dataset, data and coverage are copied while nobody commits to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from climkit_pipeline.errors import ConfigurationError, LakeError
from climkit_pipeline.files import file_lock, sync_directory
from climkit_pipeline.lake.account import check_format, create_data_dir
from climkit_pipeline.lake.layout import Layout

SUMS = "SHA256SUMS"
"""As ``sha256sum --check`` reads it."""
SQLITE_SUFFIX = ".db"
NOT_OF_DAGSTER = {"run_locks", "logs", ".logs_queue"}


@dataclass(frozen=True)
class BackupReport:
    """What a backup or a restoration did."""

    folder: Path
    files: int
    copied: int
    """The others are links to the backup before."""
    bytes_copied: int

    def __str__(self) -> str:
        return f"{self.folder}: {self.files} files, {self.copied} of them copied ({self.bytes_copied / 1e6:.1f} MB)"


def back_up(layout: Layout, target: Path, *, keep: int | None = None, now: datetime | None = None) -> BackupReport:
    """Write a backup into a new folder of ``target``; with ``keep``, only that many stay.

    Raises ConfigurationError if there is nothing to back up or the target lies in the data directory, LakeError if
    the target cannot be written; what was begun is removed then.
    """
    if not layout.account.exists():
        raise ConfigurationError(f"CLIMKIT_DATA_DIR is {str(layout.root)!r}: there is nothing to back up yet")
    target = target.resolve()
    if target.is_relative_to(layout.root):
        raise ConfigurationError(f"{target} lies in the data directory: a backup there would be lost together with it")
    name = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H-%M-%SZ")
    try:
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        with file_lock(target / ".lock"):
            before = _backups(target)
            shutil.rmtree(target / ".partial", ignore_errors=True)
            report = _Copier(layout, target / ".partial", before[-1] if before else None).run()
            (target / ".partial").rename(target / name)
            sync_directory(target)
            if keep is not None:
                for old in _backups(target)[:-keep]:
                    shutil.rmtree(old)
    except OSError as error:
        shutil.rmtree(target / ".partial", ignore_errors=True)
        raise LakeError(f"{target}: the backup failed: {error.strerror or error}") from error
    return BackupReport(target / name, report.files, report.copied, report.bytes_copied)


def restore(layout: Layout, backup: Path) -> BackupReport:
    """Copy a backup into a data directory that holds nothing yet, and compare every file with its sum.

    ``account.json`` comes last: a restoration that was broken off does not look like a data directory. Raises
    ConfigurationError if ``backup`` is none or the directory is in use, LakeError for a file that is damaged.
    """
    sums = _read_sums(backup)
    if layout.account.name not in sums or any(".." in Path(name).parts or Path(name).is_absolute() for name in sums):
        raise ConfigurationError(f"{backup} is no backup: it holds no sound {SUMS}")
    if layout.account.exists() or (layout.root.exists() and any(layout.root.glob("lake/*/day=2*"))):
        raise ConfigurationError(
            f"CLIMKIT_DATA_DIR is {str(layout.root)!r}: it holds data already; restore into an empty directory"
        )
    copied = 0
    create_data_dir(layout)
    try:
        for name in sorted(sums, key=lambda each: (each == layout.account.name, each)):
            source, destination = backup / name, layout.root / name
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, destination)
            if _sum(destination) != sums[name]:
                raise LakeError(f"{source} is damaged: take another backup")
            copied += destination.stat().st_size
        os.sync()
    except OSError as error:
        raise LakeError(f"{layout.root}: restoring failed: {error.strerror or error}") from error
    check_format(layout)
    return BackupReport(layout.root, len(sums), len(sums), copied)


class _Copier:
    """One backup being made."""

    def __init__(self, layout: Layout, folder: Path, before: Path | None) -> None:
        self._layout = layout
        self._folder = folder
        self._before = before
        self._sums_before = _read_sums(before) if before else {}
        self._sums: dict[str, str] = {}
        self._copied = self._bytes = 0

    def run(self) -> BackupReport:
        """Copy everything, and write the sums."""
        layout = self._layout
        self._folder.mkdir(mode=0o700)
        for dataset in sorted(layout.lake.iterdir()) if layout.lake.exists() else ():
            with file_lock(layout.commit_lock(dataset.name)):
                self._tree(dataset)
        for part in (layout.config, layout.closed):
            self._tree(part)
        self._dagster()
        for path in (layout.format, layout.account):
            if path.exists():
                self._file(path)
        lines = (f"{self._sums[name]}  {name}\n" for name in sorted(self._sums))
        (self._folder / SUMS).write_text("".join(lines), encoding="utf-8")
        os.sync()
        return BackupReport(self._folder, len(self._sums), self._copied, self._bytes)

    def _tree(self, folder: Path) -> None:
        for path in _files(folder):
            self._file(path)

    def _file(self, source: Path) -> None:
        name = str(source.relative_to(self._layout.root))
        destination = self._folder / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        if self._before is not None and name in self._sums_before and _looks_same(source, self._before / name):
            os.link(self._before / name, destination)
            self._sums[name] = self._sums_before[name]
            return
        shutil.copy2(source, destination)
        self._note(name, destination)

    def _dagster(self) -> None:
        """Runs, ticks and schedules, where they lie on SQLite here: copied by SQLite itself, a daemon may write."""
        home = self._layout.dagster_home
        for path in _files(home):
            inside = path.relative_to(home)
            if inside.parts[0] in NOT_OF_DAGSTER or path.name.endswith(("-wal", "-shm", "-journal")):
                continue
            if path.suffix != SQLITE_SUFFIX:
                self._file(path)
                continue
            destination = self._folder / path.relative_to(self._layout.root)
            destination.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as stack:
                source = stack.enter_context(closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)))
                copy = stack.enter_context(closing(sqlite3.connect(destination)))
                source.backup(copy)
            self._note(str(path.relative_to(self._layout.root)), destination)

    def _note(self, name: str, copy: Path) -> None:
        self._sums[name] = _sum(copy)
        self._copied += 1
        self._bytes += copy.stat().st_size


def _files(folder: Path) -> Iterator[Path]:
    """Every file of a folder, ascending; none if it does not exist. What is half written has a name with a dot."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith(".tmp"):
            yield path


def _looks_same(source: Path, earlier: Path) -> bool:
    try:
        new, old = source.stat(), earlier.stat()
    except FileNotFoundError:
        return False
    return (new.st_size, new.st_mtime_ns) == (old.st_size, old.st_mtime_ns)


def _backups(target: Path) -> list[Path]:
    return sorted(path.parent for path in target.glob(f"*T*Z/{SUMS}"))


def _read_sums(backup: Path) -> dict[str, str]:
    try:
        lines = (backup / SUMS).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

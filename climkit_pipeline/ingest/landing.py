"""Landing: the write-ahead log of answers. What was received is on disk before anything follows from it.

One folder per process, locked while that process lives; one file per answer, a gzip of a header line (JSON: what was
asked, when, the SHA-256 of the answer) and the answer's bytes as received. Beside them, one line per attempt at a
call. A folder whose lock is free belongs to whoever comes next. Neither credentials nor tokens are part of it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from climkit_pipeline.errors import LakeError
from climkit_pipeline.files import LockBusyError, atomic_file, file_lock, sync_directory
from climkit_pipeline.ingest.frames import ParsedAnswer

logger = logging.getLogger(__name__)

SUFFIX = ".answer.gz"
LOCK_NAME = ".lock"
CALLS = "calls.jsonl"
CALLS_READ = "calls-*.jsonl"
Kind = Literal["plan", "repeat", "failure", "unanswered"]


@dataclass(frozen=True, slots=True)
class Landed:
    """One answer (or the failure to get one) and what it was asked for.

    ``first_day`` and ``last_day`` are the site's local days whose rows are wanted, both included; ``asked_from_utc``
    and ``asked_until_utc`` what was sent. ``received_at_utc`` becomes the rows' ``fetched_at_utc``.
    """

    dataset: str
    site_id: str
    subject_id: str
    timezone: str
    first_day: date
    last_day: date
    received_at_utc: datetime
    kind: Kind = "plan"
    """``plan``: the window as planned; ``repeat``: a missing stretch asked again; ``failure``: no answer came;
    ``unanswered``: neither did one come to what an earlier answer lacked at its front."""
    asked_from_utc: datetime | None = None
    asked_until_utc: datetime | None = None
    kept_from_utc: datetime | None = None
    """Rows before are not kept: a window of intervals begins early, so that no row wanted is near its start."""
    exists_from_utc: datetime | None = None
    """The site's creation: nothing is expected before."""
    interval_minutes: int | None = None
    """The step of the series where it is certain (electricity: 15), else None: taken from the data."""
    stated_minutes: tuple[tuple[date, date, int], ...] = ()
    """What the user's files state of the step on days, both included."""
    detail: str | None = None
    is_timezone_assumed: bool = False
    body: bytes = field(default=b"", repr=False)
    parsed: ParsedAnswer | None = field(default=None, repr=False, compare=False)
    """What the answer holds, where this process has parsed it already; never on disk."""


_HEADER = tuple(part.name for part in fields(Landed) if part.name not in {"body", "parsed"})


class LandingFolder:
    """The folder of one process; use ``open_landing``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = 1 + max((int(file.name.split(".")[0]) for file in _answer_files(path)), default=0)
        self._calls_lock = threading.Lock()
        self._parsed: dict[Path, Landed] = {}
        """What this process landed and parsed: it need not come back from disk. Without the answers' bytes."""

    def add(self, landed: Landed) -> None:
        """Put one answer on disk, for good, before returning. Raises LakeError if that fails."""
        header = {name: getattr(landed, name) for name in _HEADER}
        header["sha256"] = hashlib.sha256(landed.body).hexdigest()
        content = json.dumps(header, default=_as_text).encode() + b"\n" + landed.body
        final = self.path / f"{self._next:08d}{SUFFIX}"
        self._next += 1
        try:
            with atomic_file(final) as temporary:
                # Level 1: answers live for minutes, and the lake compresses for good.
                temporary.write_bytes(gzip.compress(content, compresslevel=1, mtime=0))
        except OSError as error:
            raise LakeError(f"{final} cannot be written: {error.strerror or error}") from error
        if landed.parsed is not None:
            self._parsed[final] = replace(landed, body=b"")

    def read(self) -> list[Landed]:
        """Every answer in the folder, in order; damaged files are set aside under another name."""
        return self._read(_answer_files(self.path))

    def batches(self, size: int) -> Iterator[list[Landed]]:
        """Every answer in the folder, about ``size`` at a time, so that memory is bounded whatever was left behind.

        What was asked about one subject comes together: a repeated call means something only beside the one before it.
        """
        files = _answer_files(self.path)
        if len(files) <= size:
            yield self._read(files)
            return
        by_subject: dict[tuple[str, str, str], list[Path]] = defaultdict(list)
        for file in files:
            by_subject[self._subject(file)].append(file)
        batch: list[Path] = []
        for _, of_subject in sorted(by_subject.items()):
            if batch and len(batch) + len(of_subject) > size:
                yield self._read(batch)
                batch = []
            batch += of_subject
        yield self._read(batch)

    def _read(self, files: Sequence[Path]) -> list[Landed]:
        return [landed for file in files if (landed := self._parsed.get(file) or _read(file)) is not None]

    def _subject(self, file: Path) -> tuple[str, str, str]:
        """Dataset, site and subject of an answer; nothing for a damaged file, which is set aside when it is read."""
        own = self._parsed.get(file)
        if own is not None:
            return own.dataset, own.site_id, own.subject_id
        try:
            with gzip.open(file) as content:
                header = json.loads(content.readline())
            return header["dataset"], header["site_id"], header["subject_id"]
        except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error):
            return "", "", ""

    def add_call(self, row: Mapping[str, Any]) -> None:
        """Note one attempt at a call; it outlives this process, but not a power cut. Raises LakeError."""
        line = json.dumps(row, default=_as_text) + "\n"
        try:
            with self._calls_lock, (self.path / CALLS).open("a") as file:
                file.write(line)
        except OSError as error:
            raise LakeError(f"{self.path / CALLS} cannot be written: {error.strerror or error}") from error

    def read_calls(self) -> list[dict[str, Any]]:
        """The attempts noted so far; later ones go to another file, so that ``clear`` deletes what was read alone."""
        with self._calls_lock:
            if (self.path / CALLS).exists():
                (self.path / CALLS).rename(self.path / CALLS_READ.replace("*", f"{time.time_ns()}"))
        rows = []
        for file in sorted(self.path.glob(CALLS_READ)):
            for line in file.read_text(errors="replace").splitlines():
                with suppress(ValueError):  # the last line of a process that was killed while writing it
                    rows.append(json.loads(line))
        return rows

    def clear(self) -> None:
        """Delete what was read, after it has been committed."""
        for file in (*_answer_files(self.path), *self.path.glob(CALLS_READ)):
            file.unlink()
        self._parsed.clear()
        sync_directory(self.path)


@contextmanager
def open_landing(root: Path, name: str) -> Iterator[LandingFolder]:
    """The process's own folder, locked until the end of the block and then removed if nothing is left in it.

    Raises LakeError if it cannot be made.
    """
    path = root / name
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(path / LOCK_NAME))
        except OSError as error:
            raise LakeError(f"{path} cannot be written: {error.strerror or error}") from error
        try:
            yield LandingFolder(path)
        finally:
            _remove_if_empty(path)


@contextmanager
def abandoned_folders(root: Path) -> Iterator[list[LandingFolder]]:
    """The folders that no living process holds, held until the end of the block, oldest first."""
    with ExitStack() as stack:
        folders = []
        for path in sorted(root.iterdir()) if root.is_dir() else []:
            if not path.is_dir():
                continue
            with suppress(LockBusyError, FileNotFoundError):
                stack.enter_context(file_lock(path / LOCK_NAME, blocking=False))
                folders.append(LandingFolder(path))
        yield folders
        for folder in folders:
            _remove_if_empty(folder.path)


def _remove_if_empty(path: Path) -> None:
    if _answer_files(path) or any(path.glob("calls*.jsonl")):
        return
    for leftover in path.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
    with suppress(OSError):  # a damaged file that was set aside stays for a person to look at
        if [entry.name for entry in path.iterdir()] == [LOCK_NAME]:
            (path / LOCK_NAME).unlink()
            path.rmdir()


def _answer_files(path: Path) -> list[Path]:
    return sorted(path.glob(f"*{SUFFIX}"))


def _read(file: Path) -> Landed | None:
    try:
        header_line, _, body = gzip.decompress(file.read_bytes()).partition(b"\n")
        header: dict[str, Any] = json.loads(header_line)
        if header.pop("sha256") != hashlib.sha256(body).hexdigest():
            raise ValueError("its checksum does not fit")
        for name in ("first_day", "last_day"):
            header[name] = date.fromisoformat(header[name])
        for name in ("received_at_utc", "asked_from_utc", "asked_until_utc", "kept_from_utc", "exists_from_utc"):
            header[name] = datetime.fromisoformat(header[name]) if header.get(name) else None
        header["stated_minutes"] = tuple(
            (date.fromisoformat(first), date.fromisoformat(last), minutes)
            for first, last, minutes in header.get("stated_minutes", ())
        )
        return Landed(**header, body=body)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error) as error:
        aside = file.with_suffix(".damaged")
        file.replace(aside)
        logger.warning("%s was damaged (%s); set aside as %s, its window will be asked again", file, error, aside.name)
        return None


def _as_text(value: object) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"not part of a landing header: {type(value).__name__}")

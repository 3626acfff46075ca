"""Kernel file locks and atomic files: what several processes on one machine need to share a directory.

Here: locking and replacing, nothing about what the files mean. Locks are ``flock`` locks: the kernel frees them when
their process ends, however it ends, and serves waiters in turn.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from climkit_pipeline.errors import LakeError


class LockBusyError(LakeError):
    """Another process or thread holds the lock, and the caller did not want to wait."""


@contextmanager
def file_lock(path: Path, *, blocking: bool = True, shared: bool = False) -> Iterator[int]:
    """Hold the lock of ``path`` inside the block, alone or with others that share it; yields the file descriptor.

    Raises LockBusyError at once if ``blocking`` is false and the lock is taken.
    """
    descriptor = _locked(path, blocking=blocking, kind=fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(path: Path, *, blocking: bool, kind: int) -> int:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Owner only: the name and the age of a lock file can tell an account's rhythm.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, kind | (0 if blocking else fcntl.LOCK_NB))
            if _is_same_file(descriptor, path):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise LockBusyError(f"{path.name} is in use by another process") from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last holder removed the file: the lock is on nothing, take the new one


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def sync_directory(directory: Path) -> None:
    """Make renames and deletions inside ``directory`` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fingerprint(paths: Iterable[Path], root: Path) -> str:
    """A short hash of the files' relative names and bytes."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def replace_file(temporary: Path, final: Path) -> None:
    """Move ``temporary`` onto ``final`` in one step, after its bytes have reached the disk."""
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(final)
    sync_directory(final.parent)


@contextmanager
def atomic_file(final: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``final``; on success it becomes ``final``, on any error it is removed.

    The temporary name is always the same, so that what a killed process left is overwritten by the next; whoever
    writes a file that others write, too, holds its lock.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.tmp")
    try:
        yield temporary
        replace_file(temporary, final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

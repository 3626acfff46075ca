"""Whose data a directory holds, so that two accounts, or simulated and real data, never mix.

``account.json`` holds a salted hash of who was asked, never the address or the user's name.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import tempfile

from climkit_pipeline.errors import ConfigurationError, LakeError
from climkit_pipeline.files import atomic_file, file_lock
from climkit_pipeline.lake.day_files import write_empty_files
from climkit_pipeline.lake.layout import FORMAT_VERSION, Layout


def account_identity(base_url: str, username: str, simulator_seed: str | None) -> str:
    """What makes two accounts the same: base URL and user; for the built-in simulator its seed, whatever its port."""
    return f"simulator:{simulator_seed}" if simulator_seed is not None else f"{base_url.rstrip('/')}\n{username}"


def check_writable(layout: Layout) -> None:
    """Raise ConfigurationError unless the data directory, or the place where it will be made, can be written.

    Leaves nothing behind. Tries it, because permissions alone do not tell (read-only disks, root, network shares).
    """
    folder = layout.root
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryDirectory(dir=folder) as trial, tempfile.TemporaryFile(dir=trial) as file:
            file.write(b"trial")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(
            f"CLIMKIT_DATA_DIR is {str(layout.root)!r}: it cannot be written ({reason}); accepted: a directory that can"
        ) from error


def create_data_dir(layout: Layout) -> None:
    """Make the data directory, for its owner alone: whoever can read it can see when somebody was at home."""
    if not layout.root.exists():
        layout.root.parent.mkdir(parents=True, exist_ok=True)
        layout.root.mkdir(mode=0o700, exist_ok=True)


def check_format(layout: Layout) -> None:
    """Raise ConfigurationError if another version of this program laid out the lake."""
    if layout.format.exists() and (found := layout.format.read_text().strip()) != FORMAT_VERSION:
        raise ConfigurationError(
            f"CLIMKIT_DATA_DIR is {str(layout.root)!r}: its lake has format {found}, "
            f"this version reads {FORMAT_VERSION}"
        )


def claim(layout: Layout, identity: str) -> None:
    """Make the directory this account's, after a successful log-in, and complete its layout.

    Raises ConfigurationError if it belongs to another account.
    """
    check_format(layout)
    try:
        create_data_dir(layout)
        with file_lock(layout.lock("account")):
            if layout.account.exists():
                _check_owner(layout, identity)
            else:
                salt = secrets.token_hex(16)
                with atomic_file(layout.account) as temporary:
                    temporary.write_text(json.dumps({"salt": salt, "account": _digest(salt, identity)}) + "\n")
            if not layout.format.exists():
                with atomic_file(layout.format) as temporary:
                    temporary.write_text(FORMAT_VERSION + "\n")
            write_empty_files(layout)
    except OSError as error:
        raise LakeError(f"{layout.root} cannot be written: {error.strerror or error}") from error


def _check_owner(layout: Layout, identity: str) -> None:
    try:
        known = json.loads(layout.account.read_text())
        is_same = hmac.compare_digest(known["account"], _digest(known["salt"], identity))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{layout.account} is damaged: restore it from a backup") from error
    if not is_same:
        raise ConfigurationError(
            f"CLIMKIT_DATA_DIR is {str(layout.root)!r}: it holds the data of another account; choose another directory"
        )


def _digest(salt: str, identity: str) -> str:
    return hashlib.sha256(f"{salt}\n{identity}".encode()).hexdigest()

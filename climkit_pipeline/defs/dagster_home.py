"""The instance's directory, and its settings, which follow new releases until somebody edits them.

``dagster.yaml`` there is a copy of two files of this release, one after the other. Beside it lies a note of what was
copied: a file that still is what the note says is replaced by the next release's; an edited one is the operator's,
stays, and the release's own lies beside it as ``dagster.yaml.new``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path

from climkit_pipeline.files import atomic_file
from climkit_pipeline.installation import ROOT_DIR
from climkit_pipeline.lake.layout import Layout

logger = logging.getLogger(__name__)

COMMON = "dagster.yaml"
"""What every instance has; the Dagster CLI takes it alone, in a checkout and without a directory of its own."""
SQLITE, POSTGRES = "deploy/dagster.sqlite.yaml", "deploy/dagster.postgres.yaml"
"""Where the instance keeps what it knows."""
POSTGRES_VARIABLE = "DAGSTER_POSTGRES_HOST"
"""Set when a directory is first used: Dagster's storage is on PostgreSQL."""

BEFORE_NOTES = frozenset(
    {
        "3d88946231a0cb106576e2c36f89f06f8523ae2fcf2461f9b981dac5768d92b1",
        "1d24b414d4a2d589da4a0abc6b5ee7ba1d9fd30c6b2cff2f24384ca5f95fae39",
    }
)
"""SHA-256 of what releases wrote that left no note: not edited by anybody."""


def dagster_home(layout: Layout) -> Path:
    """The instance's directory: DAGSTER_HOME, or ``dagster/`` of the data directory, with settings in it.

    The caller holds the lock of the directory.
    """
    given = os.environ.get("DAGSTER_HOME")
    home = Path(given) if given else layout.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    follow_release(home, ROOT_DIR)
    return home


def follow_release(home: Path, templates: Path) -> None:
    """Bring ``dagster.yaml`` up to this release, unless it is the operator's own."""
    settings, note = home / "dagster.yaml", home / ".dagster.yaml.json"
    exists = settings.exists()
    found = _digest(settings.read_bytes()) if exists else ""
    noted = _read_note(note)
    wanted = noted.get("template") if exists else None
    if wanted not in {SQLITE, POSTGRES}:
        wanted = POSTGRES if os.environ.get(POSTGRES_VARIABLE) and not exists else SQLITE
    template = (templates / COMMON).read_bytes() + (templates / str(wanted)).read_bytes()
    is_ours = not exists or found == noted.get("sha256") or found in BEFORE_NOTES
    if found == _digest(template) or is_ours:
        if found != _digest(template):
            if exists:
                logger.warning("%s follows this release", settings)
            _write(settings, template)
        if noted != (current := {"template": wanted, "sha256": _digest(template)}):
            _write(note, (json.dumps(current) + "\n").encode())
        (home / "dagster.yaml.new").unlink(missing_ok=True)
        return
    beside = home / "dagster.yaml.new"
    if not beside.exists() or beside.read_bytes() != template:
        logger.warning("%s was edited and is kept; what this release would write lies in %s", settings, beside.name)
        _write(beside, template)


def _read_note(note: Path) -> dict[str, str]:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is none yet, or somebody's editor was here: as if there were none
        return {}
    return content if isinstance(content, dict) else {}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)

"""Dagster's events in SQLite, written with less work; named in ``dagster.yaml``.

Dagster's own storage makes an engine and a connection for each event that it writes or reads, compiles its statements
anew, and waits for the disk after each: 14 ms of CPU an event, 4 ms here. A month of backfill plans 217 events before
it begins, and a refresh of the models tells of five hundred. The files are the same: either class opens what the other
wrote.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from dagster import DagsterInstance
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorageWatchdog
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import StaticPool
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

FILES_KEPT_OPEN = 32
"""Each run has a file of its own; a daemon that looks after many closes those of old ones."""


class EventLog(SqliteEventLogStorage):
    """Keeps its connections; a power cut may take the last events of a run, never the order of its file."""

    _obs: Any

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._given = inst_data
        self._engines: OrderedDict[str, sqlalchemy.Engine] = OrderedDict()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What the settings say."""
        return self._given

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing: the instance knows its directory, which may move."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> EventLog:
        """As Dagster makes it from its settings."""
        return cls(inst_data, **config_value)

    def register_instance(self, instance: DagsterInstance) -> None:
        """Dagster calls it as the first of all; then the directory is known, and the files are opened."""
        super().__init__(str(Path(instance.root_directory) / "history" / "runs"), self._given)
        super().register_instance(instance)

    def _engine_of(self, shard: str) -> sqlalchemy.Engine:
        if shard not in self._engines:
            if len(self._engines) == FILES_KEPT_OPEN:
                self._engines.popitem(last=False)[1].dispose()
            self._engines[shard] = self._new_engine(shard)
        self._engines.move_to_end(shard)
        return self._engines[shard]

    def _new_engine(self, shard: str) -> sqlalchemy.Engine:
        engine = sqlalchemy.create_engine(
            self.conn_string_for_shard(shard),
            # One connection, which the lock below gives to one thread at a time.
            poolclass=StaticPool,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )
        sqlalchemy.event.listen(engine, "connect", _wait_for_the_disk_at_checkpoints_alone)
        return engine

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        with self._db_lock:
            engine = self._engine_of(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def wipe(self) -> None:
        """Deletes the files of runs, which nobody may hold then."""
        self._close_files()
        super().wipe()

    def dispose(self) -> None:
        """With the instance."""
        super().dispose()
        self._close_files()

    def _close_files(self) -> None:
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()

    def watch(self, run_id: str, cursor: str | None, callback: Any) -> None:  # noqa: ANN401 - as Dagster names it
        """A page that shows a run as it goes on."""
        if not self._obs:
            self._obs = Observer()
            self._obs.start()
        watchdog = _Watchdog(self, run_id, callback, cursor)
        self._watchers[run_id][callback] = watchdog, self._obs.schedule(watchdog, self._base_dir, recursive=True)


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Dagster's, which looks at the file alone; while a connection is kept, what is new stands in the log beside it."""

    def __init__(self, storage: EventLog, run_id: str, callback: Any, cursor: str | None) -> None:  # noqa: ANN401
        super().__init__(storage, run_id, callback, cursor)
        path = storage.path_for_shard(run_id)
        self._patterns = [path, f"{path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:
        """One of both grew."""
        del event
        self._process_log()


def _wait_for_the_disk_at_checkpoints_alone(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
    connection.execute("pragma synchronous = normal")

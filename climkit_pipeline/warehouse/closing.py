"""Closing a site's month, settling its corrections, and opening it again.

A month is frozen from what the models built while the warehouse's lock is held, after they have followed the lake: so
the rows, the lake's state and the user's inputs that a version names belong together. What was frozen never changes;
later differences are rows of ``billing_corrections`` until a settlement freezes them as the next version.

Here: when a month may be frozen, and what a version says. Not here: the files themselves
(``warehouse.closed_files``), and comparing (the SQL models).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

import duckdb
import polars as pl

from climkit_pipeline.errors import ConfigurationError, WarehouseError
from climkit_pipeline.lake.day_files import write_empty_files
from climkit_pipeline.lake.forgotten import read_tombstones
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.user_files.config_folder import read_texts
from climkit_pipeline.warehouse.closed_files import (
    Kind,
    Version,
    content_hash,
    latest_by_month,
    lines_by_meter,
    read_versions,
    write_version,
)
from climkit_pipeline.warehouse.lake_state import LakeScan, ModelSettings, open_build_file
from climkit_pipeline.warehouse.queries import NO_DATA_YET, frame_of
from climkit_pipeline.warehouse.refresh import Refresh, open_refresh, with_closings

AUTOMATIC = "automatic (CLIMKIT_CLOSE_AUTOMATICALLY)"
"""Who closed, where no person did."""

Clock = Callable[[], datetime]

_MONTHS = """
select billing.*,
    billing.is_billed and not billing.is_excluded as must_be_ready,
    inputs.inputs_hash,
    billing.is_excluded as was_excluded
from main.billing_monthly as billing
left join intermediate.int_inputs_monthly as inputs using (site_id, meter_id, billing_month)
"""


class NotReadyError(WarehouseError):
    """A month cannot be frozen; one line per meter says why."""


@dataclass(frozen=True)
class _Act:
    """What is done to a month, by whom, and why (if it needs a reason)."""

    kind: Kind
    by: str
    reason: str | None = None


@dataclass(frozen=True)
class Closings:
    """What can be done with months while the warehouse stands still."""

    refresh: Refresh
    now: Clock

    def close(self, site_id: str, month: date, by: str) -> Version:
        """Freeze a month that is open. Raises NotReadyError if it is closed, or if a billed meter is not ready.

        Where no meter is billed, none may wait or be blocked.
        """
        latest = self._latest(site_id, month)
        if latest is not None and latest.is_closed:
            raise NotReadyError(
                f"{self.named(site_id, month)} was closed on {latest.closed_at_utc:%Y-%m-%d} by {latest.closed_by} "
                f"(version {latest.version}); `climkit settle` freezes corrections, `--reopen --why` opens it again"
            )
        return self._freeze(_Act("close", by), site_id, month, latest)

    def settle(
        self, site_id: str, month: date, by: str, why: str | None = None, *, forgotten_too: bool = False
    ) -> Version:
        """Freeze the present corrections of a closed month as its next version.

        Raises NotReadyError as closing does, if nothing differs, and unless ``forgotten_too`` if days of the month were
        forgotten since it was closed.
        """
        latest = self._latest(site_id, month)
        if latest is None or not latest.is_closed:
            raise NotReadyError(f"{self.named(site_id, month)} is not closed, so there is nothing to settle")
        with self._build_file() as connection:
            corrections = frame_of(
                connection,
                """
                select meter_id from main.billing_corrections where site_id = ? and billing_month = ?
                union all
                select meter_id from main.closed_line_changes where site_id = ? and billing_month = ?
                """,
                [site_id, month] * 2,
            )
        if corrections.is_empty():
            raise NotReadyError(
                f"{self.named(site_id, month)} has no corrections: nothing differs from version {latest.version}"
            )
        if not forgotten_too:
            self._check_nothing_forgotten(latest)
        return self._freeze(_Act("settle", by, why), site_id, month, latest)

    def reopen(self, site_id: str, month: date, by: str, reason: str) -> Version:
        """Open a closed month again; what was closed stays on record. Raises NotReadyError if it is not closed."""
        latest = self._latest(site_id, month)
        if latest is None or not latest.is_closed:
            raise NotReadyError(f"{self.named(site_id, month)} is not closed, so it cannot be opened again")
        return self._write(
            _Act("reopen", by, reason), site_id, month, latest, pl.DataFrame(schema={"meter_id": pl.String})
        )

    def named(self, site_id: str, month: date) -> str:
        """A site's month as people call it: by the site's name, if no other bears it."""
        with self._build_file() as connection:
            sites = frame_of(connection, "select site_id, coalesce(site_name, site_id) from main.sites")
        names = dict(sites.iter_rows())
        name = names.get(site_id)
        is_told_by_name = name is not None and list(names.values()).count(name) == 1
        return f"{month:%Y-%m} of {name if is_told_by_name else f'site {site_id}'}"

    def _check_nothing_forgotten(self, latest: Version) -> None:
        """Raises NotReadyError if values that a closed version stands on were forgotten: a new one would lack them."""
        site_id, month = latest.site_id, latest.billing_month
        forgotten = {
            each.meter_id
            for each in read_tombstones(self.refresh.layout)
            if each.site_id == site_id
            and each.is_within_month(month)
            and each.forgotten_on >= latest.closed_at_utc.date()
        }
        if not forgotten:
            return
        with self._build_file() as connection:
            names = dict(
                frame_of(connection, "select meter_id, meter_name from main.meters where site_id = ?", [site_id]).rows()
            )
        meters = ", ".join(sorted(names.get(meter_id) or meter_id for meter_id in forgotten))
        raise NotReadyError(
            f"{self.named(site_id, month)} is not settled: days of {meters} were forgotten on purpose since it was "
            "closed (config/forgotten.csv), so a new version would take what was rightly billed off the bill. "
            "Leave it as it was closed; --forgotten-too settles all the same"
        )

    def _freeze(self, act: _Act, site_id: str, month: date, latest: Version | None) -> Version:
        if latest is not None and latest.is_closed:
            # That it differs from what was closed is itself a failed check: look as if it never had been.
            self.refresh.follow_closings(without=(site_id, month))
        rows = self._rows(site_id, month)
        _check_ready(rows, self.named(site_id, month))
        return self._write(act, site_id, month, latest, rows.drop("must_be_ready"))

    def _rows(self, site_id: str, month: date) -> pl.DataFrame:
        """The rows to freeze, by meter. Raises NotReadyError if there are none, ConfigurationError without the site."""
        with self._build_file() as connection:
            rows = frame_of(
                connection,
                f"from ({_MONTHS}) where site_id = ? and billing_month = ? order by meter_id",
                [site_id, month],
            )
            lines = frame_of(
                connection,
                "from main.billing_lines_monthly where site_id = ? and billing_month = ? order by meter_id, line_from",
                [site_id, month],
            )
            sites = frame_of(connection, "select site_id from main.sites order by site_id")["site_id"].to_list()
        if site_id not in sites:
            raise ConfigurationError(f"there is no site {site_id!r}; accepted: {', '.join(sites) or 'none yet'}")
        if rows.is_empty():
            raise NotReadyError(
                f"{self.named(site_id, month)} has no rows: no meter was listed or asked for in that month"
            )
        return rows.join(lines_by_meter(lines), on="meter_id", how="left", maintain_order="left").with_columns(
            pl.col("lines").fill_null([])
        )

    def _write(self, act: _Act, site_id: str, month: date, latest: Version | None, rows: pl.DataFrame) -> Version:
        # The site's own newest call: of what others asked later, answers about this site may not be committed yet.
        with self._build_file() as connection:
            as_of = frame_of(
                connection, "select max(last_asked_at_utc) from main.coverage_days where site_id = ?", [site_id]
            ).item()
        version = Version(
            site_id=site_id,
            billing_month=month,
            version=1 if latest is None else latest.version + 1,
            kind=act.kind,
            closed_at_utc=self.now().astimezone(UTC),
            closed_by=act.by,
            reason=act.reason,
            meters=rows.height,
            content_hash=content_hash(rows),
            lake_as_of_utc=as_of,
            lake_state=_lake_digest(self.refresh.scan),
            inputs_digest=self.refresh.inputs.user_digest,
            pipeline_version=self.refresh.settings.pipeline_version,
            models_version=self.refresh.models_version,
            user_files=read_texts(self.refresh.layout),
            frozen_columns=tuple(name for name in rows.columns if name not in {"inputs_hash", "was_excluded"}),
        )
        write_version(self.refresh.layout, version, rows)
        return version

    def _latest(self, site_id: str, month: date) -> Version | None:
        versions = read_versions(self.refresh.layout, site_id, month)
        return latest_by_month(versions).get((site_id, month))

    @contextmanager
    def _build_file(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with open_build_file(self.refresh.layout.build_file) as connection:
            yield connection


@contextmanager
def open_closings(
    layout: Layout, settings: ModelSettings, *, publish_months: int | None = None, now: Clock | None = None
) -> Iterator[Closings]:
    """Hold the warehouse, follow the lake, and after the block rebuild what depends on closed months and publish.

    Raises WarehouseError if there is nothing to close from, or if the models fail.
    """
    if not layout.build_file.exists():
        raise WarehouseError(NO_DATA_YET.format(path=layout.warehouse))
    write_empty_files(layout)
    # Nobody commits meanwhile: else the rows could hold values that came after the instant that the version names.
    with open_refresh(layout, settings) as refresh, refresh.lake_at_rest() as is_scanned:
        if not is_scanned:
            refresh.look_again()
        if not refresh.changes.is_empty:
            refresh.run_models().check()
            refresh.follow()
        try:
            yield Closings(refresh, now or (lambda: datetime.now(UTC)))
        finally:
            if with_closings(refresh.inputs, layout).closed_digest != refresh.inputs.closed_digest:
                refresh.follow_closings()
            refresh.publish(publish_months)


def closable_months(layout: Layout) -> list[tuple[str, date]]:
    """The sites and months that could be closed and never were, by site; the caller holds the warehouse's lock."""
    with open_build_file(layout.build_file) as connection:
        found = frame_of(
            connection,
            f"""
            select site_id, billing_month
            from ({_MONTHS})
            anti join pipeline.closed_versions using (site_id, billing_month)
            group by site_id, billing_month
            having bool_or(must_be_ready)
                and bool_and(not must_be_ready or grade in ('ready', 'ready_with_estimates'))
            order by site_id, billing_month
            """,  # noqa: S608 - made of constants
        )
    return list(found.iter_rows())


def close_what_is_ready(refresh: Refresh, *, now: Clock | None = None) -> list[Version]:
    """Close every month that can be closed, in a refresh that has followed the lake.

    Closes none if somebody committed to the lake meanwhile: the next refresh will.
    """
    closings = Closings(refresh, now or (lambda: datetime.now(UTC)))
    with refresh.lake_at_rest() as is_followed:
        if not is_followed:
            return []
        closed = [closings.close(site_id, month, AUTOMATIC) for site_id, month in closable_months(refresh.layout)]
        if closed:
            refresh.follow_closings()
        return closed


def _check_ready(rows: pl.DataFrame, named: str) -> None:
    """Raises NotReadyError unless every billed meter is ready; where none is billed, every meter that is there."""
    is_any_billed = rows["must_be_ready"].any()
    judged = rows.filter("must_be_ready" if is_any_billed else ~pl.col("was_excluded"))
    waiting = judged.filter(~pl.col("grade").is_in(["ready", "ready_with_estimates"]))
    if waiting.is_empty():
        return
    lines = [
        f"{row['meter_id']} ({row['meter_name']}) is {row['grade']}: {'; '.join(row['reasons'])}"
        for row in waiting.iter_rows(named=True)
    ]
    are = "is" if waiting.height == 1 else "are"
    of_its = "of its billed meters" if is_any_billed else "of its meters, none of which is billed,"
    head = f"{named} cannot be frozen: {waiting.height} {of_its} {are} not ready"
    raise NotReadyError("\n".join([head, *lines]))


def _lake_digest(scan: LakeScan) -> str:
    files = scan.files.sort("dataset", "local_date", "file_name")
    return hashlib.sha256(files.write_csv().encode()).hexdigest()

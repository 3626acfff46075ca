"""What a run of the lake says in Dagster while it goes on: days as they are finished, and how far it is.

Here: events and log lines of one run. Not here: what makes a day good (``ingest``).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from itertools import groupby
from operator import attrgetter

import dagster as dg

from climkit_pipeline.defs.keys import asset_key
from climkit_pipeline.ingest.finished import SET_ASIDE
from climkit_pipeline.ingest.progress import CallProgress, end_text
from climkit_pipeline.ingest.reports import IngestReport
from climkit_pipeline.lake.status import WORST_FIRST

SECONDS_BETWEEN_LINES = 60.0
MOST_REASONS = 20

_dataset_of = attrgetter("dataset")


class RunLog:
    """Writes into the event log of one run."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        seconds_per_call: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._monotonic = monotonic
        self._last_line = monotonic()
        self.progress = CallProgress(self._show, seconds_per_call, monotonic)
        """Who wants to know how far the run is."""

    def _show(self, label: str, done: int, total: int, left: float, is_news: bool) -> None:
        now = self._monotonic()
        if is_news or (total and now - self._last_line >= SECONDS_BETWEEN_LINES):
            self._last_line = now
            done_of = f"{done:,} of {total:,} calls, {end_text(left)}: " if total else ""
            self._context.log.info(done_of + label)

    def tell_days(self, dataset: str, days: Mapping[date, Counter[str]]) -> None:
        """Days that are good now are green now, whatever becomes of the run."""
        for day, states in days.items():
            # All of them, zeros too: what is stated on some days alone cannot be plotted.
            counts = {state: states[state] for state in (*WORST_FIRST, SET_ASIDE)}
            self._context.log_event(
                dg.AssetMaterialization(
                    asset_key(dataset), partition=day.isoformat(), metadata={"subjects": states.total(), **counts}
                )
            )

    def tell_failures(self, report: IngestReport) -> None:
        """On red days, too, stands why: who failed, and with which words."""
        for dataset in report.request.datasets:
            for day in sorted(report.failed_days(dataset)):
                reasons = report.reasons(dataset, day) or ["failed earlier, and was not asked again"]
                more = len(reasons) - MOST_REASONS
                lines = reasons[:MOST_REASONS] + ([f"and {more} more"] if more > 0 else [])
                states = report.states.get(dataset, {}).get(day, Counter())
                self._context.log_event(
                    dg.AssetObservation(
                        asset_key(dataset),
                        partition=day.isoformat(),
                        description=f"{len(reasons)} of {max(states.total(), len(reasons))} failed",
                        metadata={
                            "failed": len(reasons),
                            **{state: count for state, count in states.items() if count and state != "failed"},
                            "why": dg.MetadataValue.md("\n".join(f"- {line}" for line in lines)),
                        },
                    )
                )

    def tell_result(self, report: IngestReport) -> None:
        """What came of the run, in one line and in findings."""
        for finding in report.news:
            self._context.log.warning(str(finding))
        for dataset, findings in groupby(sorted(report.news, key=_dataset_of), key=_dataset_of):
            lines = [f"- {finding.code}: {', '.join(finding.samples)}" for finding in findings]
            self._context.log_event(
                dg.AssetObservation(
                    asset_key(dataset),
                    description=f"{len(lines)} listed otherwise than before",
                    metadata={"listed otherwise": len(lines), "what": dg.MetadataValue.md("\n".join(lines))},
                )
            )
        calls = ", ".join(f"{name} {count:,}" for name, count in report.calls.items()) or "none"
        self._context.log.info(
            f"calls: {calls}; rows: {report.committed.rows:,}; new: {report.committed.rows_new:,}; "
            f"revised: {report.committed.rows_revised:,}; short answers: {report.short_answers:,}; "
            f"findings: {len(report.committed.findings):,}"
        )

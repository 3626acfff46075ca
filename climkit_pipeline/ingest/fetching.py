"""Making the calls of a plan: what is in flight, what is asked again, cut, or given up; every answer lands first.

Here: reactions to answers and errors. Not here: which windows are wanted (``planner``), how a call is retried
(``api.client``), what an answer holds (``parsing``) and its rows become (``commit``).
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta

import polars as pl

from climkit_pipeline.api.client import Answer, ClimkitClient
from climkit_pipeline.domain.periods import (
    ONE_DAY,
    Period,
    dates_between,
    local_date_of_reading,
    local_day,
)
from climkit_pipeline.errors import ApiError, ApiUnavailableError, AuthenticationError, RejectedError
from climkit_pipeline.ingest import intervals
from climkit_pipeline.ingest.commit import commit_folder
from climkit_pipeline.ingest.frames import ParsedAnswer
from climkit_pipeline.ingest.landing import Landed, LandingFolder
from climkit_pipeline.ingest.parsing import known_steps, parse_landed
from climkit_pipeline.ingest.planner import Window, plan_windows
from climkit_pipeline.ingest.reports import Failure, IngestReport, Progress
from climkit_pipeline.ingest.tasks import Plan, Task
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake.coverage import DayCoverage
from climkit_pipeline.lake.day_files import current_rows, read_coverage_day, read_day
from climkit_pipeline.lake.first_days import first_days_with_rows
from climkit_pipeline.lake.held_times import held_times
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import SENSOR_READINGS
from climkit_pipeline.settings import Settings

logger = logging.getLogger(__name__)

ANSWERS_PER_COMMIT = 200
"""A commit touches every day of its answers' months: few and large commits, yet minutes of work, not hours."""
FAILURES_BEFORE_A_SUBJECT_IS_LEFT = 3
SUBJECTS_LEFT_BEFORE_A_SITE_IS = 3
SITES_LEFT_BEFORE_A_RUN_STOPS = 3
"""In a row, with no answer in between: then it is the API that is gone, not a site."""
MOST_STRETCHES_ASKED = 3
SILENT_HALVINGS_TO_REMEMBER = 2
REFUSED_DAYS_TO_STOP_HALVING = 2
UNAUTHORIZED = 401
WINDOW_TOO_LONG_STATUSES = frozenset({400, 413})
NOT_AVAILABLE = "not available: the API does not go back that far"


class _Trouble:
    """Which sites do not answer, so that one of them costs minutes and a dead API does not cost hours."""

    def __init__(self) -> None:
        self._failures: Counter[tuple[str, str, str]] = Counter()
        self._left: set[tuple[str, str]] = set()
        self._silent: set[str] = set()

    def answered(self, task: Task) -> None:
        self._left = {left for left in self._left if left[0] != task.site_id}
        self._failures.pop((task.dataset.name, task.site_id, task.subject_id), None)
        self._silent.clear()

    def failed(self, task: Task) -> None:
        self._failures[task.dataset.name, task.site_id, task.subject_id] += 1
        if self.is_subject_left(task):
            self._left.add((task.site_id, task.subject_id))
        if self.is_left(task.site_id):
            self._silent.add(task.site_id)

    def is_subject_left(self, task: Task) -> bool:
        failures = self._failures[task.dataset.name, task.site_id, task.subject_id]
        return failures >= FAILURES_BEFORE_A_SUBJECT_IS_LEFT

    def is_left(self, site_id: str) -> bool:
        """Several of its meters failed with no answer of the site in between: it is not about one of them."""
        return sum(left[0] == site_id for left in self._left) >= SUBJECTS_LEFT_BEFORE_A_SITE_IS

    def is_everywhere(self) -> bool:
        return len(self._silent) >= SITES_LEFT_BEFORE_A_RUN_STOPS


class _WindowSizes:
    """Which window sizes the API takes, by dataset, and which subjects refuse every size; for one process.

    A refusal (400, 413) is about length if both halves are answered: one bad day, or one broken meter, must not cost
    31 times as many calls ever after. Silence is about length only if that happens twice in a row: one bad quarter of
    an hour must not either.
    """

    def __init__(self, longest: int) -> None:
        self._longest_allowed = longest
        self._longest: dict[str, int] = {}
        self._half_answered: set[tuple[str, str, Window]] = set()
        self._silent_in_a_row: Counter[str] = Counter()
        self._refused_days: Counter[tuple[str, str]] = Counter()

    def longest(self, dataset: str) -> int:
        """The longest window that is known to work, in days."""
        return min(self._longest_allowed, self._longest.get(dataset, self._longest_allowed))

    def shorten(self, dataset: str, days: int) -> None:
        """Remember that ``days`` is as long as a window may be."""
        self._longest[dataset] = min(days, self.longest(dataset))

    def answered(self, task: Task) -> None:
        dataset, whole = task.dataset.name, task.half_of
        self._refused_days.pop((dataset, task.subject_id), None)
        if whole is None:
            self._silent_in_a_row.pop(dataset, None)
            return
        cut = (dataset, task.subject_id, whole.window)
        if cut not in self._half_answered:
            self._half_answered.add(cut)
            return
        self._half_answered.remove(cut)
        if whole.reason == "refused" or self._silent_in_a_row[dataset] >= SILENT_HALVINGS_TO_REMEMBER:
            self.shorten(dataset, task.window.days)

    def was_silent(self, task: Task) -> None:
        self._silent_in_a_row[task.dataset.name] += 1

    def refused_a_day(self, task: Task) -> None:
        self._refused_days[task.dataset.name, task.subject_id] += 1

    def refuses_everything(self, task: Task) -> bool:
        """Whether shorter windows have been tried in vain: then a refusal is not about length."""
        return self._refused_days[task.dataset.name, task.subject_id] >= REFUSED_DAYS_TO_STOP_HALVING


class Fetcher:
    """Makes calls and lands their answers; remembers for the process which window sizes the API takes."""

    def __init__(
        self, settings: Settings, client: ClimkitClient, progress: Progress, now: Callable[[], datetime]
    ) -> None:
        self._layout = Layout(settings.data_dir)
        self._client = client
        self._progress = progress
        self._now = now
        self._max_in_flight = settings.max_in_flight
        self._sizes = _WindowSizes(settings.window_days)
        self._unavailable_until: dict[str, date] = {}
        self._trouble = _Trouble()

    def begin_run(self) -> None:
        """Forget which sites did not answer: another run may find them well."""
        self._trouble = _Trouble()

    def window_days(self, dataset: str) -> int:
        """The longest window that is known to work for a dataset, in days."""
        return self._sizes.longest(dataset)

    def fetch(self, folder: LandingFolder, plan: Plan, report: IngestReport) -> None:
        """Ask for every task, landing each answer; results are taken in the plan's order, whatever is in flight."""
        queue = deque(plan.tasks)
        self._progress.planned(len(queue))
        trouble = self._trouble
        landed = 0
        in_flight: deque[tuple[Task, Future[Answer]]] = deque()
        with ThreadPoolExecutor(self._max_in_flight, thread_name_prefix="climkit-call") as pool:
            try:
                while queue or in_flight:
                    while queue and len(in_flight) < self._max_in_flight:
                        task = queue.popleft()
                        parts = self._fitting(task)
                        if len(parts) > 1:
                            queue.extendleft(reversed(parts))
                            self._progress.planned(len(parts) - 1)
                        elif (reason := self._why_not(task, trouble)) is not None:
                            self._give_up(folder, task, reason, report)
                        else:
                            in_flight.append((task, pool.submit(self._client.perform, task.call(task.asked))))
                    if in_flight:
                        task, future = in_flight.popleft()
                        report.calls[task.dataset.name] += 1
                        again = self._take(folder, task, future, trouble, report)
                        queue.extendleft(reversed(again))
                        self._progress.planned(len(again))
                        self._progress.called(f"{task.dataset.name} {task.window.first_day:%Y-%m}")
                        landed += 1
                        if landed % ANSWERS_PER_COMMIT == 0:
                            report.committed.add(commit_folder(self._layout, folder))
            except BaseException:
                # Leaving the pool waits for the calls under way: none of them may go on trying for minutes.
                self._client.give_up()
                raise
            finally:
                for _, future in in_flight:
                    future.cancel()

    def _fitting(self, task: Task) -> list[Task]:
        """The task cut to the size that is known to work at its endpoint."""
        longest = self.window_days(task.dataset.name)
        if task.window.days <= longest:
            return [task]
        days = dates_between(task.window.first_day, task.window.last_day)
        return [replace(task, window=window, half_of=None) for window in plan_windows(days, longest)]

    def _why_not(self, task: Task, trouble: _Trouble) -> str | None:
        """Why a task needs no call: its site does not answer, or the API does not go back that far."""
        if trouble.is_left(task.site_id) or trouble.is_subject_left(task):
            return "not asked: the calls before this one failed"
        until = self._unavailable_until.get(task.subject_id)
        if until is not None and task.window.last_day <= until:
            return NOT_AVAILABLE
        return None

    def _take(
        self, folder: LandingFolder, task: Task, future: Future[Answer], trouble: _Trouble, report: IngestReport
    ) -> list[Task]:
        """Land one result; returns what has to be asked in its place."""
        try:
            answer = future.result()
            entry = task.landed(answer, task.asked, "plan")
            parsed, missing = self._missing_stretches(task, entry)
            folder.add(replace(entry, parsed=parsed))
            trouble.answered(task)
            self._sizes.answered(task)
            report.short_answers += bool(missing)
            for stretch in missing:
                uncut = self._ask_again(folder, task, stretch, parsed, report)
                if uncut is not None:
                    return [replace(task, window=uncut)]
        except AuthenticationError:
            raise
        except RejectedError as error:
            if error.status == UNAUTHORIZED:
                trouble.failed(task)
            return self._after_rejection(folder, task, error, report)
        except ApiUnavailableError as error:
            if not error.was_reached:
                # Nobody is there: no other call would fare better, and what was received is kept.
                raise
            trouble.failed(task)
            if task.window.days > 1 and not trouble.is_subject_left(task):
                self._sizes.was_silent(task)
                return list(task.halves("silent"))
            self._give_up(folder, task, str(error), report)
            if trouble.is_everywhere():
                raise
        except ApiError as error:
            self._give_up(folder, task, str(error), report)
        return []

    def _after_rejection(
        self, folder: LandingFolder, task: Task, error: RejectedError, report: IngestReport
    ) -> list[Task]:
        is_about_length = error.status in WINDOW_TOO_LONG_STATUSES
        is_sensor = task.dataset is SENSOR_READINGS
        if is_about_length and task.window.days > 1 and not self._sizes.refuses_everything(task):
            if is_sensor:
                # Here a refusal may mean "too long ago": the newer half tells where that begins.
                older, newer = (replace(task, window=half, half_of=None) for half in task.window.halves())
                return [newer, older]
            return list(task.halves("refused"))
        if is_about_length and is_sensor:
            self._unavailable_until[task.subject_id] = task.window.last_day
            self._give_up(folder, task, NOT_AVAILABLE, report)
            return []
        if is_about_length and task.window.days == 1:
            self._sizes.refused_a_day(task)
        self._give_up(folder, task, str(error), report)
        return []

    def _missing_stretches(self, task: Task, entry: Landed) -> tuple[ParsedAnswer, list[Period]]:
        """What an answer holds, and where it is shorter than what exists, apart from gaps that are known already."""
        steps = known_steps(self._layout, task.dataset, [entry])
        # A shape that nobody knows must fail here, not in a commit.
        parsed = parse_landed(task.dataset, entry, steps.of(entry))
        if task.dataset.kind != "interval":
            return parsed, self._missing_tail(task, entry, parsed)
        key = (task.site_id, task.subject_id)
        first_start = parsed.rows["interval_start_utc"].min()
        # Before its first row a meter may not have existed; where older rows are known, it did.
        opening = local_day(task.window.first_day, task.listing.zone)
        is_whole_from_start = isinstance(first_start, datetime) and first_start in opening
        first_day = None if is_whole_from_start else first_days_with_rows(self._layout, task.dataset).get(key)
        held = held_times(parsed.rows, "interval_start_utc", ["local_date"], "interval_end_utc")
        missing: list[Period] = []
        minutes = parsed.interval_minutes or law.QUARTER_HOUR_MINUTES
        for day in dates_between(task.window.first_day, task.window.last_day):
            bounds = local_day(day, task.listing.zone)
            of_day = held.get((day,))
            # A day without rows is counted in the steps of the days before it.
            minutes = (of_day.shortest_minutes if of_day else None) or minutes
            assessment = law.assess_held_intervals(
                bounds,
                of_day,
                minutes=minutes,
                asked_at=entry.received_at_utc,
                exists_from=entry.exists_from_utc,
                is_known_before=(isinstance(first_start, datetime) and first_start < bounds.start_utc)
                or (first_day is not None and first_day < day),
            )
            if assessment.gaps:
                known = law.from_frame(read_coverage_day(self._layout, task.dataset, day)).get(key)
                expected = law.expected_intervals(bounds, minutes, entry.exists_from_utc)
                missing += self._newly_missing(task, day, assessment.gaps, expected, known)
        stretches = list(law.stretches(missing))
        if len(stretches) > MOST_STRETCHES_ASKED:
            # A call each would cost more than the window itself.
            stretches = [Period(stretches[0].start_utc, stretches[-1].end_utc)]
        return parsed, stretches

    def _newly_missing(
        self, task: Task, day: date, gaps: Sequence[Period], expected: Sequence[Period], known: DayCoverage | None
    ) -> Sequence[Period]:
        """What of ``gaps`` no earlier answer lacked: a gap on record is known, and so is late data that stays away."""
        if known is None:
            return gaps
        new = [gap for gap in gaps if not any(_holds(outer, gap) for outer in known.gaps)]
        if known.state != law.PENDING or not new:
            return new
        held = self._held_instants(task, day)
        return [
            interval
            for interval in expected
            if any(_holds(gap, interval) for gap in new)
            and (interval.start_utc in held or interval.end_utc > known.last_asked_at_utc)
        ]

    def _held_instants(self, task: Task, day: date) -> set[datetime]:
        """The times of the current rows that the lake holds of the task's subject and a day."""
        rows = current_rows(read_day(self._layout, task.dataset, day)).filter(
            (pl.col("site_id") == task.site_id) & (pl.col(task.dataset.subject) == task.subject_id)
        )
        return set(rows[task.dataset.time or task.dataset.subject].to_list())

    def _missing_tail(self, task: Task, entry: Landed, parsed: ParsedAnswer) -> list[Period]:
        """The end of an answer of readings, if it lacks what their own rhythm promises and no earlier answer lacked.

        Nobody says when a meter is read, so only an answer that breaks off is noticed: it is what a short answer looks
        like, and its last reading is the one that closes a month.
        """
        held = held_times(parsed.rows, "read_at_utc", [task.dataset.subject]).get((task.subject_id,))
        rhythm = None if held is None else law.held_rhythm(held) or law.rhythm_of(held.each())
        if held is None or rhythm is None:
            return []
        last, zone = held.last, task.listing.zone
        due = min(local_day(task.window.last_day, zone).end_utc, entry.received_at_utc - law.LATE_DATA)
        if last + rhythm > due:
            return []
        day = local_date_of_reading(last + rhythm, zone)
        known = law.from_frame(read_coverage_day(self._layout, task.dataset, day)).get((task.site_id, task.subject_id))
        was_asked = known is not None and known.last_asked_at_utc > last + rhythm
        if was_asked and max(self._held_instants(task, day), default=last) <= last:
            return []
        return [Period(last, due)]

    def _ask_again(
        self, folder: LandingFolder, task: Task, stretch: Period, short: ParsedAnswer, report: IngestReport
    ) -> Window | None:
        """Ask exactly a missing stretch once more: a short answer looks just like a gap.

        If that answer ends after the same span from its ``t_s`` as the short one did, this is a bound of the API: it
        is remembered, and the days still lacking are returned.
        """
        self._progress.planned(1)
        report.calls[task.dataset.name] += 1
        asked = intervals.asked_period(stretch)
        try:
            entry = task.landed(self._client.perform(task.call(asked)), asked, "repeat")
            # A lone row cannot tell its step: that of the answer before holds.
            entry = replace(entry, interval_minutes=entry.interval_minutes or _minutes_at(short, stretch.start_utc))
            repeated = parse_landed(task.dataset, entry)
        except AuthenticationError:
            raise
        except ApiError as error:
            if isinstance(error, ApiUnavailableError) and not error.was_reached:
                raise
            logger.warning("asking again failed: %s", error)  # the gap stays recorded, so it is asked next time
        else:
            span = _span(repeated, asked)
            if span is not None and span >= ONE_DAY and span == _span(short, task.asked) and stretch.duration > span:
                uncut_until = asked.start_utc + span
                folder.add(replace(entry, kind="plan", asked_until_utc=uncut_until))
                self._progress.called("asking short answers again")
                self._sizes.shorten(task.dataset.name, span // ONE_DAY)
                return Window(uncut_until.astimezone(task.listing.zone).date(), task.window.last_day)
            folder.add(replace(entry, parsed=repeated))
        self._progress.called("asking short answers again")
        return None

    def _give_up(self, folder: LandingFolder, task: Task, reason: str, report: IngestReport) -> None:
        days = task.window
        failure = Failure(
            task.dataset.name,
            task.site_id,
            task.subject_id,
            days.first_day,
            days.last_day,
            reason,
            task.listing.names(task.subject_id),
        )
        entry = failure.landed(task.listing.zone.key, self._now())
        if reason == NOT_AVAILABLE:
            asked = task.asked
            entry = replace(
                entry, kind="plan", body=b"[]", asked_from_utc=asked.start_utc, asked_until_utc=asked.end_utc
            )
        else:
            report.failures.append(failure)
            logger.warning("failed: %s", failure)
        folder.add(entry)


def _minutes_at(parsed: ParsedAnswer, at: datetime) -> int | None:
    """The step of an answer's intervals around an instant: that of the last one before it, or of the first one."""
    rows = parsed.rows
    if rows.is_empty() or "interval_end_utc" not in rows.columns:
        return parsed.interval_minutes
    lengths = rows.sort("interval_start_utc").select(
        "interval_start_utc", pl.col("interval_end_utc") - pl.col("interval_start_utc")
    )
    before = lengths.filter(pl.col("interval_start_utc") < at)
    length: timedelta = (before.tail(1) if before.height else lengths.head(1)).item(0, 1)
    return law.DAILY_MINUTES if length >= timedelta(hours=23) else length // timedelta(minutes=1)


def _span(parsed: ParsedAnswer, asked: Period) -> timedelta | None:
    """How far an answer reaches from the start of what was asked."""
    last = parsed.rows["interval_end_utc" if "interval_end_utc" in parsed.rows.columns else "read_at_utc"].max()
    return last - asked.start_utc if isinstance(last, datetime) else None


def _holds(outer: Period, inner: Period) -> bool:
    return outer.start_utc <= inner.start_utc and inner.end_utc <= outer.end_utc

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
from datetime import UTC, date, datetime, timedelta

import polars as pl

from climkit_pipeline.api.client import Answer, ClimkitClient
from climkit_pipeline.domain.periods import (
    ONE_DAY,
    Period,
    dates_between,
    local_date_of_reading,
    local_day,
)
from climkit_pipeline.errors import (
    ApiError,
    ApiUnavailableError,
    AuthenticationError,
    NotFoundError,
    RateLimitedError,
    RejectedError,
    UnexpectedPayloadError,
)
from climkit_pipeline.ingest import intervals
from climkit_pipeline.ingest.commit import commit_folder
from climkit_pipeline.ingest.frames import Finding, ParsedAnswer
from climkit_pipeline.ingest.landing import Landed, LandingFolder
from climkit_pipeline.ingest.parsing import known_steps, parse_landed
from climkit_pipeline.ingest.planner import Window, plan_windows
from climkit_pipeline.ingest.reports import Failure, IngestReport, Progress
from climkit_pipeline.ingest.tasks import Plan, Task
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake import first_days, journals
from climkit_pipeline.lake.coverage import DayCoverage
from climkit_pipeline.lake.day_files import current_rows, read_coverage_day, read_day
from climkit_pipeline.lake.first_days import first_days_with_rows
from climkit_pipeline.lake.held_times import held_times
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import FINDINGS, SENSOR_READINGS
from climkit_pipeline.settings import Settings

logger = logging.getLogger(__name__)

ANSWERS_PER_COMMIT = 200
"""A commit touches every day of its answers' months: few and large commits, yet minutes of work, not hours."""
FAILURES_BEFORE_A_SUBJECT_IS_LEFT = 3
SUBJECTS_LEFT_BEFORE_A_SITE_IS = 3
SITES_LEFT_BEFORE_A_RUN_STOPS = 3
"""In a row, with no answer in between: then it is the API that is gone, not a site."""
LIMITED_BEFORE_A_RUN_STOPS = 2
"""In a row likewise, each refused (429) for half an hour: then it is the account's calls that are used up."""
ONE_HOUR = timedelta(hours=1)
MOST_STRETCHES_ASKED = 3
SILENT_HALVINGS_TO_REMEMBER = 2
REFUSED_DAYS_TO_STOP_HALVING = 2
UNAUTHORIZED = 401
WINDOW_REFUSED_STATUSES = frozenset({400, 413, 422})
"""What may be about a window: how long it is, or when it begins."""
USED_UP = "the calls of the account seem to be used up; the same command goes on from here when there are new ones"
NOT_AVAILABLE = f"{first_days.NOT_AVAILABLE}: the API refuses what begins then"
MOST_CALLS_FOR_A_FRONT = 64
"""Of an answer that holds the newest rows of its window alone."""


class _Trouble:
    """Which sites do not answer, so that one of them costs minutes and a dead API does not cost hours."""

    def __init__(self) -> None:
        self._failures: Counter[tuple[str, str, str]] = Counter()
        self._left: set[tuple[str, str]] = set()
        self._silent: set[str] = set()
        self._limited = 0

    def answered(self, task: Task) -> None:
        self._limited = 0
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

    def was_limited(self) -> bool:
        """Note a call that was refused for the number of calls to the last; whether it is about all calls."""
        self._limited += 1
        return self._limited >= LIMITED_BEFORE_A_RUN_STOPS

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
        self._cut_at: Counter[tuple[str, int]] = Counter()

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

    def was_cut(self, task: Task, answered: int) -> bool:
        """Note that an answer held its newest rows alone; whether that many rows are now known to be all it holds."""
        self._cut_at[task.dataset.name, answered] += 1
        return self._cut_at[task.dataset.name, answered] > 1

    def refused_a_day(self, task: Task) -> None:
        self._refused_days[task.dataset.name, task.subject_id] += 1

    def is_first_refused_day(self, task: Task) -> bool:
        """Whether no single day of the subject was refused since it last answered."""
        return not self._refused_days[task.dataset.name, task.subject_id]

    def refuses_everything(self, task: Task) -> bool:
        """Whether shorter windows have been tried in vain: then a refusal is not about length."""
        return self._refused_days[task.dataset.name, task.subject_id] >= REFUSED_DAYS_TO_STOP_HALVING


class _Beginnings:
    """Since when each subject's series may be asked for: the API may refuse every window that begins earlier.

    A window that is refused is halved, the newer half first, so that what can be had is had with few calls. A day that
    is refused just before what was answered may be the last one of those, or one bad day: the next older window tells.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._refused_until: dict[tuple[str, str, str], date] = {}
        self._suspects: dict[tuple[str, str, str], tuple[Task, RejectedError]] = {}
        self._first_answered: dict[tuple[str, str, str], date] = {}

    def refused_until(self, task: Task) -> date | None:
        """The last day that no window may begin on, as far as this process or the lake knows."""
        known = first_days.refused_until(self._layout, task.dataset).get((task.site_id, task.subject_id))
        return max(filter(None, (known, self._refused_until.get(task.key))), default=None)

    def answered(self, task: Task, first_day: date | None) -> None:
        """Note an answer, and the first day of which rows came."""
        if task.window.first_day <= self._refused_until.get(task.key, date.min):
            del self._refused_until[task.key]
        if first_day is not None:
            self._first_answered[task.key] = min(first_day, self._first_answered.get(task.key, first_day))

    def may_be_one(self, task: Task) -> bool:
        """Whether rows are known from after a refused window, and none from before it."""
        known = first_days.first_days_with_rows(self._layout, task.dataset).get((task.site_id, task.subject_id))
        firsts = [day for day in (known, self._first_answered.get(task.key)) if day is not None]
        return bool(firsts) and min(firsts) > task.window.last_day

    def suspect(self, task: Task, error: RejectedError) -> None:
        """Remember a refused day until the next older window is answered or refused."""
        self._suspects[task.key] = task, error

    def suspected(self, task: Task) -> tuple[Task, RejectedError] | None:
        """The day of this task's subject that an answer to this task decides about; it is forgotten."""
        suspect = self._suspects.get(task.key)
        return self._suspects.pop(task.key) if suspect and task.window.last_day < suspect[0].window.first_day else None

    def left(self, following: Task | None) -> list[Task]:
        """Suspected days of which no older window follows; they are forgotten."""
        keys = [key for key in self._suspects if following is None or key != following.key]
        return [self._suspects.pop(key)[0] for key in keys]

    def confirm(self, task: Task) -> None:
        """No window may begin on this day, or before it."""
        self._refused_until[task.key] = task.window.last_day


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
        self._beginnings = _Beginnings(self._layout)
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
                        task = parts[0] if len(parts) == 1 else task
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
                        following = in_flight[0][0] if in_flight else queue[0] if queue else None
                        self._settle_suspects(folder, following, report)
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
        """The task cut to the size that is known to work at its endpoint, and to when it may begin."""
        until = self._beginnings.refused_until(task)
        first, last = task.window.first_day, task.window.last_day
        if until is not None and first <= until < last:
            parts = Window(until + ONE_DAY, last), Window(first, until)
            return [replace(task, window=part, half_of=None, is_bare=part.first_day > until) for part in parts]
        if until is not None and first == until + ONE_DAY and not task.is_bare:
            return self._fitting(replace(task, is_bare=True))
        longest = self.window_days(task.dataset.name)
        if task.window.days <= longest:
            return [task]
        days = dates_between(task.window.first_day, task.window.last_day)
        return [replace(task, window=window, half_of=None) for window in plan_windows(days, longest)]

    def _why_not(self, task: Task, trouble: _Trouble) -> str | None:
        """Why a task needs no call: its site does not answer, or the API does not go back that far."""
        if trouble.is_left(task.site_id) or trouble.is_subject_left(task):
            return "not asked: the calls before this one failed"
        until = self._beginnings.refused_until(task)
        if until is not None and task.window.last_day <= until and not task.is_on_request:
            return NOT_AVAILABLE
        return None

    def _settle_suspects(self, folder: LandingFolder, following: Task | None, report: IngestReport) -> None:
        """Decide about refused days just before what was answered, where nothing older is asked for in this run."""
        for task in self._beginnings.left(following):
            self._confirm_beginning(folder, task, report)

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
            self._clear_suspicion(folder, task, report)
            first_day = parsed.rows["local_date"].min()
            self._beginnings.answered(task, first_day if isinstance(first_day, date) else None)
            report.short_answers += bool(missing)
            for stretch in missing:
                uncut = self._ask_again(folder, task, stretch, parsed, report)
                if uncut is not None:
                    return [replace(task, window=uncut)]
        except AuthenticationError:
            raise
        except ApiError as error:
            if task.is_probe and not (isinstance(error, ApiUnavailableError) and not error.was_reached):
                return self._after_probe(folder, task, error, report)
            return self._after_error(folder, task, error, trouble, report)
        return []

    def _after_probe(self, folder: LandingFolder, task: Task, error: ApiError, report: IngestReport) -> list[Task]:
        """What looks whether there are data before a site's creation need not be answered."""
        if isinstance(error, RejectedError | NotFoundError):
            self._give_up(folder, task, NOT_AVAILABLE, report)
        logger.warning("looking for data before the creation date failed: %s", error)
        return []

    def _after_error(
        self, folder: LandingFolder, task: Task, error: ApiError, trouble: _Trouble, report: IngestReport
    ) -> list[Task]:
        """What to ask in the place of a task that got no answer."""
        if isinstance(error, RejectedError):
            if error.status == UNAUTHORIZED:
                trouble.failed(task)
            return self._after_rejection(folder, task, error, report)
        if isinstance(error, ApiUnavailableError):
            if not error.was_reached:
                # Nobody is there: no other call would fare better, and what was received is kept.
                raise error
            trouble.failed(task)
            if task.window.days > 1 and not trouble.is_subject_left(task):
                self._sizes.was_silent(task)
                return list(task.halves("silent"))
        if isinstance(error, RateLimitedError) and trouble.was_limited():
            # Each further call would be waited for as long, and refused as well.
            raise RateLimitedError(f"{error}, however long it was waited: {USED_UP}") from error
        self._give_up(folder, task, str(error), report)
        if isinstance(error, ApiUnavailableError) and trouble.is_everywhere():
            raise error
        return []

    def _after_rejection(
        self, folder: LandingFolder, task: Task, error: RejectedError, report: IngestReport
    ) -> list[Task]:
        if error.status not in WINDOW_REFUSED_STATUSES:
            self._give_up(folder, task, str(error), report)
            return []
        suspect = self._beginnings.suspected(task)
        if suspect is not None:
            # What begins even earlier is refused, too.
            self._confirm_beginning(folder, suspect[0], report)
        until = self._beginnings.refused_until(task)
        if until is not None and task.window.last_day <= until:
            self._give_up(folder, task, NOT_AVAILABLE, report)
            return []
        if task.window.days > 1 and not self._sizes.refuses_everything(task):
            older, newer = task.halves("refused")
            if task.dataset is SENSOR_READINGS:  # here a refusal is never about length alone
                return [replace(half, half_of=None) for half in (newer, older)]
            return [newer, older]
        return self._after_refused_day(folder, task, error, report)

    def _after_refused_day(
        self, folder: LandingFolder, task: Task, error: RejectedError, report: IngestReport
    ) -> list[Task]:
        if task.dataset is SENSOR_READINGS:
            self._beginnings.confirm(task)
            self._give_up(folder, task, NOT_AVAILABLE, report)
            return []
        may_be_beginning = self._beginnings.may_be_one(task)
        if not task.is_bare and (may_be_beginning or self._sizes.is_first_refused_day(task)):
            # What is refused may be the time before that a window begins early by.
            return [replace(task, is_bare=True, half_of=None)]
        if may_be_beginning:
            self._beginnings.suspect(task, error)
            return []
        if task.window.days == 1:
            self._sizes.refused_a_day(task)
        self._give_up(folder, task, str(error), report)
        return []

    def _clear_suspicion(self, folder: LandingFolder, task: Task, report: IngestReport) -> None:
        """A window before a refused day was answered: that day alone is bad."""
        suspect = self._beginnings.suspected(task)
        if suspect is not None:
            self._give_up(folder, suspect[0], str(suspect[1]), report)

    def _confirm_beginning(self, folder: LandingFolder, task: Task, report: IngestReport) -> None:
        """Windows may begin after this day at the earliest: have what can be had of it, and say so once."""
        self._beginnings.confirm(task)
        self._give_up(folder, task, NOT_AVAILABLE, report)
        day = local_day(task.window.first_day, task.listing.zone)
        refused, answered, entry = day.start_utc, day.end_utc, None
        # Its last hour first: a meter that exists since a midnight has none of it.
        middle = answered - ONE_HOUR
        while answered - refused > ONE_HOUR:
            asked = intervals.asked_period(Period(middle, day.end_utc))
            self._progress.planned(1)
            report.calls[task.dataset.name] += 1
            try:
                found = task.landed(self._client.perform(task.call(asked)), asked, "plan", middle)
                found = replace(found, exists_from_utc=middle, detail=NOT_AVAILABLE)
                entry, answered = replace(found, parsed=parse_landed(task.dataset, found)), middle
            except RejectedError as error:
                if error.status not in WINDOW_REFUSED_STATUSES:
                    break
                refused = middle
            except (ApiUnavailableError, UnexpectedPayloadError) as error:
                logger.warning("the first hours of %s: %s", task.window.first_day, error)
                break
            finally:
                self._progress.called("looking for the first hour")
            middle = refused + (answered - refused) // ONE_HOUR // 2 * ONE_HOUR
        if entry is not None:
            folder.add(entry)
        sample = f"what begins before {answered:%Y-%m-%d %H:%M} UTC is refused; what follows is in the lake"
        finding = Finding("begins_later", task.dataset.name, task.site_id, task.subject_id, 1, (sample,))
        report.news.append(finding)
        days = {"first_day": task.window.first_day, "last_day": task.window.last_day}
        journals.append(self._layout, FINDINGS, [finding.as_row(self._now()) | days])

    def _missing_stretches(self, task: Task, entry: Landed) -> tuple[ParsedAnswer, list[Period]]:
        """What an answer holds, and where it is shorter than what exists, apart from gaps that are known already."""
        steps = known_steps(self._layout, task.dataset, [entry])
        # A shape that nobody knows must fail here, not in a commit.
        parsed = parse_landed(task.dataset, entry, steps.of(entry))
        if task.dataset.kind != "interval":
            return parsed, self._missing_front(task, entry, parsed) + self._missing_tail(task, entry, parsed)
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
            is_front = isinstance(first_start, datetime) and bounds.start_utc < first_start
            # A day without rows is counted in the steps of the days before it.
            minutes = (of_day.shortest_minutes if of_day else None) or minutes
            assessment = law.assess_held_intervals(
                bounds,
                of_day,
                minutes=minutes,
                asked_at=entry.received_at_utc,
                exists_from=entry.exists_from_utc,
                is_known_before=(isinstance(first_start, datetime) and first_start < bounds.start_utc)
                or (first_day is not None and first_day < day)
                # An answer that holds its newest rows alone looks just like a meter that did not exist yet.
                or is_front,
            )
            if assessment.gaps:
                known = law.from_frame(read_coverage_day(self._layout, task.dataset, day)).get(key)
                if is_front and known is not None and known.state == law.EMPTY:
                    continue
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

    def _missing_front(self, task: Task, entry: Landed, parsed: ParsedAnswer) -> list[Period]:
        """The beginning of an answer of readings, if it holds none and was never asked for before.

        A meter may not have existed yet, or the answer holds its newest rows alone.
        """
        times = parsed.rows["read_at_utc"]
        first, zone = times.min(), task.listing.zone
        opening = local_day(task.wanted_days.first_day, zone).start_utc
        if not isinstance(first, datetime) or entry.kept_from_utc is None:
            return []
        rhythm = law.rhythm_of(times.to_list()) or ONE_DAY
        if first - rhythm <= opening or first > entry.received_at_utc - law.LATE_DATA:
            return []
        day = local_date_of_reading(first - rhythm, zone)
        known = law.from_frame(read_coverage_day(self._layout, task.dataset, day)).get((task.site_id, task.subject_id))
        return [Period(opening, first)] if known is None or known.state == law.COMPLETE else []

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
        is remembered, and the days still lacking are returned. If it brings the newest rows of the stretch alone, what
        is before them is asked for in turn.
        """
        is_front = _begins_after(short, stretch.start_utc)
        for _ in range(MOST_CALLS_FOR_A_FRONT):
            self._progress.planned(1)
            report.calls[task.dataset.name] += 1
            asked = task.asked_for(stretch)
            try:
                entry = task.landed(self._client.perform(task.call(asked)), asked, "repeat", stretch.start_utc)
                # A lone row cannot tell its step: that of the answer before holds.
                entry = replace(entry, interval_minutes=entry.interval_minutes or _minutes_at(short, stretch.start_utc))
                repeated = parse_landed(task.dataset, entry)
            except AuthenticationError:
                raise
            except ApiError as error:
                if isinstance(error, ApiUnavailableError) and not error.was_reached:
                    raise
                logger.warning("asking again failed: %s", error)  # a gap stays recorded, so it is asked next time
                if is_front and not isinstance(error, RejectedError):
                    self._front_failed(folder, task, stretch, str(error), report)
                break
            span = _span(repeated, asked)
            if span is not None and span >= ONE_DAY and span == _span(short, task.asked) and stretch.duration > span:
                uncut_until = asked.start_utc + span
                folder.add(replace(entry, kind="plan", asked_until_utc=uncut_until))
                self._progress.called("asking short answers again")
                self._sizes.shorten(task.dataset.name, (uncut_until - stretch.start_utc) // ONE_DAY)
                return Window(uncut_until.astimezone(task.listing.zone).date(), task.window.last_day)
            folder.add(replace(entry, parsed=repeated))
            self._progress.called("asking short answers again")
            rest = _before_rows(repeated, stretch) if is_front else None
            if is_front and _first_time(repeated, stretch) is not None:
                self._note_cut(task, short, report)
            if rest is None:
                return None
            stretch, short = rest, repeated
        else:
            self._front_failed(folder, task, stretch, "the API answers with the newest rows of a window alone", report)
        self._progress.called("asking short answers again")
        return None

    def _note_cut(self, task: Task, cut: ParsedAnswer, report: IngestReport) -> None:
        """An answer lacked rows at its front that another one brought: learn how many rows an answer holds."""
        if not self._sizes.was_cut(task, cut.answered):
            return
        minutes = cut.interval_minutes or _rhythm_minutes(cut)
        ahead = ONE_DAY if task.dataset.kind == "reading" else task.asked_for(Period(self._now(), self._now())).duration
        rows_ahead = ahead // timedelta(minutes=minutes) + 1
        days = max(1, (cut.answered - rows_ahead) * minutes // law.DAILY_MINUTES)
        if days >= self.window_days(task.dataset.name):
            return
        self._sizes.shorten(task.dataset.name, days)
        sample = f"answers hold the newest {cut.answered} rows of a window alone; windows of {days} days are asked for"
        finding = Finding("cut_at_front", task.dataset.name, task.site_id, task.subject_id, 1, (sample,))
        report.news.append(finding)
        no_days = {"first_day": task.window.first_day, "last_day": task.window.last_day}
        journals.append(self._layout, FINDINGS, [finding.as_row(self._now()) | no_days])

    def _front_failed(
        self, folder: LandingFolder, task: Task, stretch: Period, reason: str, report: IngestReport
    ) -> None:
        """What an answer lacks at its front could not be asked for: those days are not empty, but not known."""
        zone = task.listing.zone
        first, last = stretch.start_utc.astimezone(zone).date(), local_date_of_reading(stretch.end_utc, zone)
        window = Window(max(first, task.window.first_day), min(last, task.window.last_day))
        self._give_up(folder, replace(task, window=window), reason, report, is_news_of_front=True)

    def _give_up(
        self,
        folder: LandingFolder,
        task: Task,
        reason: str,
        report: IngestReport,
        *,
        is_news_of_front: bool = False,
    ) -> None:
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
        if is_news_of_front:
            entry = replace(entry, kind="unanswered")
        if reason == NOT_AVAILABLE:
            asked = task.asked
            entry = replace(
                entry, kind="plan", body=b"[]", asked_from_utc=asked.start_utc, asked_until_utc=asked.end_utc
            )
        else:
            report.failures.append(failure)
            logger.warning("failed: %s", failure)
        folder.add(entry)


def _first_time(parsed: ParsedAnswer, within: Period) -> datetime | None:
    """The first interval's start, or the first reading, if it lies in a stretch."""
    is_reading = "read_at_utc" in parsed.rows.columns
    first = parsed.rows["read_at_utc" if is_reading else "interval_start_utc"].min()
    return first if isinstance(first, datetime) and first < within.end_utc else None


def _begins_after(parsed: ParsedAnswer, start: datetime) -> bool:
    """Whether nothing of an answer is as old as an instant."""
    first = _first_time(parsed, Period(start, datetime.max.replace(tzinfo=UTC)))
    return first is not None and first > start and not parsed.is_from_start


def _before_rows(parsed: ParsedAnswer, stretch: Period) -> Period | None:
    """What of a stretch comes before the rows of an answer that holds the newest of it alone."""
    first = _first_time(parsed, stretch)
    if first is None or first <= stretch.start_utc or parsed.is_from_start:
        return None
    if "read_at_utc" in parsed.rows.columns and first - timedelta(minutes=_rhythm_minutes(parsed)) <= stretch.start_utc:
        return None
    return Period(stretch.start_utc, first)


def _rhythm_minutes(parsed: ParsedAnswer) -> int:
    """The usual distance of readings."""
    rhythm = law.rhythm_of(parsed.rows["read_at_utc"].to_list()) if "read_at_utc" in parsed.rows.columns else None
    return rhythm // timedelta(minutes=1) if rhythm else law.QUARTER_HOUR_MINUTES


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

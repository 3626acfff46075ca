"""Making the calls of a plan: what is in flight, what is asked again, cut, or given up.

An answer that can be read lands before anything follows from it; of one that cannot, the failure does.

Here: reactions to answers and errors. Not here: which windows are wanted (``windows``), how a call is retried
(``api.client``), what an answer holds (``parsing``) and its rows become (``commit``).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta

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
from climkit_pipeline.ingest.learnt import Beginnings, Trouble, WindowSizes
from climkit_pipeline.ingest.news import keep
from climkit_pipeline.ingest.parsing import parse_landed
from climkit_pipeline.ingest.raw_policy import LONGEST_WINDOW, SHORT_WINDOW, is_at_a_bound
from climkit_pipeline.ingest.reports import Failure, IngestReport, Progress
from climkit_pipeline.ingest.shortfalls import (
    Shortfalls,
    before_rows,
    begins_after,
    first_time,
    minutes_at,
    rhythm_minutes,
    span_of,
)
from climkit_pipeline.ingest.tasks import Plan, Task
from climkit_pipeline.ingest.windows import Window, plan_windows
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake import first_days
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import METER_INDICES, SENSOR_READINGS
from climkit_pipeline.settings import Settings

logger = logging.getLogger(__name__)

ANSWERS_PER_COMMIT = 200
"""Of a month each, or as many days in longer ones. A commit touches every day of its answers' months: few and large
commits, yet minutes of work, not hours."""
DAYS_OF_AN_ANSWER = 31
ONE_HOUR = timedelta(hours=1)
UNAUTHORIZED = 401
WINDOW_REFUSED_STATUSES = frozenset({400, 413, 422})
"""What may be about a window: how long it is, or when it begins."""
USED_UP = "the calls of the account seem to be used up; the same command goes on from here when there are new ones"
NOT_AVAILABLE = f"{first_days.NOT_AVAILABLE}: the API refuses what begins then"
MOST_CALLS_FOR_A_FRONT = 64
"""Of an answer that holds the newest rows of its window alone."""


AnswerListener = Callable[[Task, Answer, ParsedAnswer, Sequence[Period]], None]


def ignore_answer(task: Task, answer: Answer, parsed: ParsedAnswer, missing: Sequence[Period]) -> None:
    """For whoever needs no answer but in the lake."""


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
        self._sizes = WindowSizes(settings.window_days, {METER_INDICES.name: max(LONGEST_WINDOW, settings.window_days)})
        self._beginnings = Beginnings(self._layout)
        self._trouble = Trouble()
        self._shortfalls = Shortfalls(self._layout)

    def begin_run(self) -> None:
        """Forget which sites did not answer: another run may find them well."""
        self._trouble = Trouble()

    def window_days(self, dataset: str) -> int:
        """The longest window that is known to work for a dataset, in days."""
        return self._sizes.longest(dataset)

    def missing_stretches(self, task: Task, entry: Landed) -> tuple[ParsedAnswer, list[Period]]:
        """What an answer holds, and where it is shorter than what exists, apart from gaps that are known already."""
        return self._shortfalls.missing_stretches(task, entry)

    def fetch(
        self, folder: LandingFolder, plan: Plan, report: IngestReport, on_answer: AnswerListener = ignore_answer
    ) -> None:
        """Ask for every task, landing each answer; results are taken in the plan's order, whatever is in flight.

        ``on_answer`` is told of each window that was answered, and of what the answer lacks.
        """
        queue = deque(plan.tasks)
        self._progress.planned(len(queue))
        self._beginnings.look_again()
        landed = 0.0
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
                        elif (reason := self._why_not(task)) is not None:
                            self._give_up(folder, task, reason, report)
                        else:
                            in_flight.append((task, pool.submit(self._client.perform, task.call(task.asked))))
                    if in_flight:
                        task, future = in_flight.popleft()
                        report.calls[task.dataset.name] += 1
                        again = self._take(folder, task, future, report, on_answer)
                        queue.extendleft(reversed(again))
                        self._progress.planned(len(again))
                        following = in_flight[0][0] if in_flight else queue[0] if queue else None
                        self._settle_suspects(folder, following, report)
                        self._progress.called(f"{task.dataset.name} {task.window.first_day:%Y-%m}")
                        landed += max(1.0, task.window.days / DAYS_OF_AN_ANSWER)
                        if landed >= ANSWERS_PER_COMMIT:
                            landed = 0.0
                            report.committed.add(commit_folder(self._layout, folder))
                            self._beginnings.look_again()
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
        if task.is_sparing and longest < SHORT_WINDOW:
            days = [day for day in days if is_at_a_bound(day)]
        return [replace(task, window=window, half_of=None) for window in plan_windows(days, longest)]

    def _why_not(self, task: Task) -> str | None:
        """Why a task needs no call: its site does not answer, or the API does not go back that far."""
        if self._trouble.is_left(task.site_id) or self._trouble.is_subject_left(task):
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
        self,
        folder: LandingFolder,
        task: Task,
        future: Future[Answer],
        report: IngestReport,
        on_answer: AnswerListener,
    ) -> list[Task]:
        """Land one result; returns what has to be asked in its place."""
        try:
            answer = future.result()
            entry = task.landed(answer, task.asked, "plan")
            parsed, missing = self._shortfalls.missing_stretches(task, entry)
            folder.add(replace(entry, parsed=parsed))
            self._trouble.answered(task)
            self._sizes.answered(task)
            self._clear_suspicion(folder, task, report)
            first_day = parsed.rows["local_date"].min()
            self._beginnings.answered(task, first_day if isinstance(first_day, date) else None)
            report.short_answers += bool(missing)
            on_answer(task, answer, parsed, missing)
            for stretch in missing:
                uncut = self._ask_again(folder, task, stretch, parsed, report)
                if uncut is not None:
                    return [replace(task, window=uncut)]
        except AuthenticationError:
            raise
        except ApiError as error:
            if task.is_probe and not (isinstance(error, ApiUnavailableError) and not error.was_reached):
                return self._after_probe(folder, task, error, report)
            return self._after_error(folder, task, error, report)
        return []

    def _after_probe(self, folder: LandingFolder, task: Task, error: ApiError, report: IngestReport) -> list[Task]:
        """What looks whether there are data before a site's creation need not be answered."""
        if isinstance(error, RejectedError | NotFoundError):
            self._give_up(folder, task, NOT_AVAILABLE, report)
        logger.warning("looking for data before the creation date failed: %s", error)
        return []

    def _after_error(self, folder: LandingFolder, task: Task, error: ApiError, report: IngestReport) -> list[Task]:
        """What to ask in the place of a task that got no answer."""
        if isinstance(error, RejectedError):
            if error.status == UNAUTHORIZED:
                self._trouble.failed(task)
            return self._after_rejection(folder, task, error, report)
        if isinstance(error, ApiUnavailableError):
            if not error.was_reached:
                # Nobody is there: no other call would fare better, and what was received is kept.
                raise error
            self._trouble.failed(task)
            if task.window.days > 1 and not self._trouble.is_subject_left(task):
                self._sizes.was_silent(task)
                return list(task.halves("silent"))
        if isinstance(error, RateLimitedError) and self._trouble.was_limited():
            # Each further call would be waited for as long, and refused as well.
            raise RateLimitedError(f"{error}, however long it was waited: {USED_UP}") from error
        self._give_up(folder, task, str(error), report)
        if isinstance(error, ApiUnavailableError) and self._trouble.is_everywhere():
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
        self._tell("begins_later", task, sample, report)

    def _tell(self, code: str, task: Task, sample: str, report: IngestReport) -> None:
        """Say, and keep, what was learnt of a task's days."""
        finding = Finding(code, task.dataset.name, task.site_id, task.subject_id, 1, (sample,))
        report.news.append(finding)
        keep(self._layout, [finding], self._now(), task.window)

    def _ask_again(
        self, folder: LandingFolder, task: Task, stretch: Period, short: ParsedAnswer, report: IngestReport
    ) -> Window | None:
        """Ask exactly a missing stretch once more: a short answer looks just like a gap.

        If that answer ends after the same span from its ``t_s`` as the short one did, this is a bound of the API: it
        is remembered, and the days still lacking are returned. If it brings the newest rows of the stretch alone, what
        is before them is asked for in turn.
        """
        is_front = begins_after(short, stretch.start_utc)
        for _ in range(MOST_CALLS_FOR_A_FRONT):
            self._progress.planned(1)
            report.calls[task.dataset.name] += 1
            asked = task.asked_for(stretch)
            try:
                entry = task.landed(self._client.perform(task.call(asked)), asked, "repeat", stretch.start_utc)
                # A lone row cannot tell its step: that of the answer before holds.
                entry = replace(entry, interval_minutes=entry.interval_minutes or minutes_at(short, stretch.start_utc))
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
            span = span_of(repeated, asked)
            if span is not None and span >= ONE_DAY and span == span_of(short, task.asked) and stretch.duration > span:
                uncut_until = asked.start_utc + span
                folder.add(replace(entry, kind="plan", asked_until_utc=uncut_until))
                self._progress.called("asking short answers again")
                self._sizes.shorten(task.dataset.name, (uncut_until - stretch.start_utc) // ONE_DAY)
                return Window(uncut_until.astimezone(task.listing.zone).date(), task.window.last_day)
            folder.add(replace(entry, parsed=repeated))
            self._progress.called("asking short answers again")
            rest = before_rows(repeated, stretch) if is_front else None
            if is_front and first_time(repeated, stretch) is not None:
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
        minutes = cut.interval_minutes or rhythm_minutes(cut)
        ahead = ONE_DAY if task.dataset.kind == "reading" else task.asked_for(Period(self._now(), self._now())).duration
        rows_ahead = ahead // timedelta(minutes=minutes) + 1
        days = max(1, (cut.answered - rows_ahead) * minutes // law.DAILY_MINUTES)
        if days >= self.window_days(task.dataset.name):
            return
        self._sizes.shorten(task.dataset.name, days)
        sample = f"answers hold the newest {cut.answered} rows of a window alone; windows of {days} days are asked for"
        self._tell("cut_at_front", task, sample, report)

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

"""What a process learns of the API while it fetches: who does not answer, how long a window may be, when data begin.

Here: what answers and refusals say together. Not here: what is done about it (``fetching``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

from climkit_pipeline.errors import RejectedError
from climkit_pipeline.ingest.tasks import Task
from climkit_pipeline.ingest.windows import Window
from climkit_pipeline.lake import first_days
from climkit_pipeline.lake.first_days import Subject
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import Dataset

FAILURES_BEFORE_A_SUBJECT_IS_LEFT = 3
SUBJECTS_LEFT_BEFORE_A_SITE_IS = 3
SITES_LEFT_BEFORE_A_RUN_STOPS = 3
"""In a row, with no answer in between: then it is the API that is gone, not a site."""
LIMITED_BEFORE_A_RUN_STOPS = 2
"""In a row likewise, each refused (429) for half an hour: then it is the account's calls that are used up."""
SILENT_HALVINGS_TO_REMEMBER = 2
REFUSED_DAYS_TO_STOP_HALVING = 2


class Trouble:
    """Which sites do not answer, so that one of them costs minutes and a dead API does not cost hours."""

    def __init__(self) -> None:
        self._failures: Counter[tuple[str, str, str]] = Counter()
        self._left: set[tuple[str, str]] = set()
        self._silent: set[str] = set()
        self._limited = 0

    def answered(self, task: Task) -> None:
        """Note that the site is there."""
        self._limited = 0
        self._left = {left for left in self._left if left[0] != task.site_id}
        self._failures.pop((task.dataset.name, task.site_id, task.subject_id), None)
        self._silent.clear()

    def failed(self, task: Task) -> None:
        """Note that a call was given up."""
        self._failures[task.dataset.name, task.site_id, task.subject_id] += 1
        if self.is_subject_left(task):
            self._left.add((task.site_id, task.subject_id))
        if self.is_left(task.site_id):
            self._silent.add(task.site_id)

    def is_subject_left(self, task: Task) -> bool:
        """Whether a subject failed so often in a row that nothing more is asked about it."""
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
        """Whether so many sites are silent that it is the API."""
        return len(self._silent) >= SITES_LEFT_BEFORE_A_RUN_STOPS


class WindowSizes:
    """Which window sizes the API takes, by dataset, and which subjects refuse every size; for one process.

    A refusal (400, 413) is about length if both halves are answered: one bad day, or one broken meter, must not cost
    31 times as many calls ever after. Silence is about length only if that happens twice in a row: one bad quarter of
    an hour must not either.
    """

    def __init__(self, longest: int, longest_of: Mapping[str, int] | None = None) -> None:
        self._longest_allowed = longest
        self._longest_of = longest_of or {}
        """Where a dataset has another longest window than the others."""
        self._longest: dict[str, int] = {}
        self._half_answered: set[tuple[str, str, Window]] = set()
        self._silent_in_a_row: Counter[str] = Counter()
        self._refused_days: Counter[tuple[str, str]] = Counter()
        self._cut_at: Counter[tuple[str, int]] = Counter()

    def longest(self, dataset: str) -> int:
        """The longest window that is known to work, in days."""
        allowed = self._longest_of.get(dataset, self._longest_allowed)
        return min(allowed, self._longest.get(dataset, allowed))

    def shorten(self, dataset: str, days: int) -> None:
        """Remember that ``days`` is as long as a window may be."""
        self._longest[dataset] = min(days, self.longest(dataset))

    def answered(self, task: Task) -> None:
        """Note an answer: two of the halves of a refused window tell that it was too long."""
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
        """Note that a window brought no answer at all."""
        self._silent_in_a_row[task.dataset.name] += 1

    def was_cut(self, task: Task, answered: int) -> bool:
        """Note that an answer held its newest rows alone; whether that many rows are now known to be all it holds."""
        self._cut_at[task.dataset.name, answered] += 1
        return self._cut_at[task.dataset.name, answered] > 1

    def refused_a_day(self, task: Task) -> None:
        """Note that a window of one day was refused."""
        self._refused_days[task.dataset.name, task.subject_id] += 1

    def is_first_refused_day(self, task: Task) -> bool:
        """Whether no single day of the subject was refused since it last answered."""
        return not self._refused_days[task.dataset.name, task.subject_id]

    def refuses_everything(self, task: Task) -> bool:
        """Whether shorter windows have been tried in vain: then a refusal is not about length."""
        return self._refused_days[task.dataset.name, task.subject_id] >= REFUSED_DAYS_TO_STOP_HALVING


class Beginnings:
    """Since when each subject's series may be asked for: the API may refuse every window that begins earlier.

    A window that is refused is halved, the newer half first, so that what can be had is had with few calls. A day that
    is refused just before what was answered may be the last one of those, or one bad day: the next older window tells.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._in_the_lake: dict[str, tuple[dict[Subject, date], dict[Subject, date]]] = {}
        self._refused_until: dict[tuple[str, str, str], date] = {}
        self._suspects: dict[tuple[str, str, str], tuple[Task, RejectedError]] = {}
        self._first_answered: dict[tuple[str, str, str], date] = {}

    def look_again(self) -> None:
        """Something was committed: what the lake knows is read anew, once for many answers."""
        self._in_the_lake.clear()

    def refused_until(self, task: Task) -> date | None:
        """The last day that no window may begin on, as far as this process or the lake knows."""
        known = self._known(task.dataset)[1].get((task.site_id, task.subject_id))
        return max(filter(None, (known, self._refused_until.get(task.key))), default=None)

    def answered(self, task: Task, first_day: date | None) -> None:
        """Note an answer, and the first day of which rows came."""
        if task.window.first_day <= self._refused_until.get(task.key, date.min):
            del self._refused_until[task.key]
        if first_day is not None:
            self._first_answered[task.key] = min(first_day, self._first_answered.get(task.key, first_day))

    def may_be_one(self, task: Task) -> bool:
        """Whether rows are known from after a refused window, and none from before it."""
        known = self._known(task.dataset)[0].get((task.site_id, task.subject_id))
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

    def _known(self, dataset: Dataset) -> tuple[dict[Subject, date], dict[Subject, date]]:
        """By site and subject: the first day with rows, and the last on which no window may begin."""
        if dataset.name not in self._in_the_lake:
            firsts = first_days.first_days_with_rows(self._layout, dataset)
            self._in_the_lake[dataset.name] = firsts, first_days.refused_until(self._layout, dataset)
        return self._in_the_lake[dataset.name]

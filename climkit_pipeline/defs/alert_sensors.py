"""Sensors that tell people: a run failed, nothing came (or a month stays blocked), the account lists something else.

They are off until addresses are set. They keep in their cursors what was told, and are not past a thing before
somebody has taken the message about it. They read the addresses from the settings; nothing of them is kept by Dagster.
"""

import json
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from climkit_pipeline.alerts.alarms import Alarm, News, as_json, from_json, message_of, news_of, told_after
from climkit_pipeline.alerts.listed import TEXTS, listing_alarm
from climkit_pipeline.alerts.sending import send
from climkit_pipeline.defs.automation import MODELS_JOB, RANGE_END_TAG, RANGE_START_TAG, fills_the_lake, selects
from climkit_pipeline.defs.causes import first_cause
from climkit_pipeline.defs.keys import WAREHOUSE_PREFIX, asset_key
from climkit_pipeline.domain.periods import local_day
from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.coverage import LATE_DATA
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS, FINDINGS
from climkit_pipeline.settings import Settings
from climkit_pipeline.warehouse.data_checks.question import CheckSettings
from climkit_pipeline.warehouse.data_state import long_blocked, silent_sites

Clock = Callable[[], datetime]
State = Mapping[str, Any]
"""What a sensor keeps in its cursor."""
Told = tuple[list[News], dict[str, Any]]
"""What there is to say, and the state once somebody has it."""

FAILURE_SECONDS = 30
"""Between two looks for failed runs."""

WATCH_SECONDS = 600
"""Between two looks at whether anything came, or is listed otherwise; hours matter there, not minutes."""

WRITTEN_WITHIN = timedelta(minutes=1)
"""Of being found, a finding is on disk: a look leaves younger ones to the next, and misses none."""

LOOK_BACK = timedelta(hours=24)
"""How far a failure may lie back when the alarms are switched on: what failed last night is news."""

OVERLAP = timedelta(minutes=2)
"""Runs are looked at again for so long: they are not noted in the order in which they end."""

MOST_RUNS = 200
"""Of one look; what is more is for the next."""

MOST_PLACES = 50
"""Of one failure that are remembered until a good run has covered them."""

ALL_DATASETS = {asset_key(name).to_user_string() for name in DATASETS}


def build_alert_sensors(settings: Settings, now: Clock = lambda: datetime.now(UTC)) -> list[dg.SensorDefinition]:
    """The sensors; they run by themselves if there are addresses."""

    def failed_runs(context: dg.SensorEvaluationContext, state: State) -> Told:
        return failure_news(context.instance, state, now())

    def nothing_came(context: dg.SensorEvaluationContext, state: State) -> Told:
        moment = now()
        since = datetime.fromisoformat(state.get("watching_since", moment.isoformat()))
        told = from_json(state.get("told", ()))
        news = news_of(told, watch_alarms(context.instance, settings, moment, since))
        return news, {"watching_since": since.isoformat(), "told": as_json(told_after(told, news))}

    def listing(context: dg.SensorEvaluationContext, state: State) -> Told:
        del context
        until = now() - WRITTEN_WITHIN
        since = datetime.fromisoformat(state["until"]) if "until" in state else until - LOOK_BACK
        news = [News("new", alarm) for alarm in listing_alarms(Layout(settings.data_dir), since, until)]
        return news, {"until": until.isoformat()}

    return [
        _sensor(
            settings,
            "alert_failed_runs",
            FAILURE_SECONDS,
            "Tells when a run failed, once until something else fails, and when it is good again.",
            failed_runs,
        ),
        _sensor(
            settings,
            "alert_nothing_came",
            WATCH_SECONDS,
            f"Tells when no ingestion was good for {settings.alert_after_hours} hours, when a site is silent, and when "
            f"a month is still blocked {settings.alert_blocked_days} days after its end; once until it changes, and "
            "when it is over.",
            nothing_came,
        ),
        _sensor(
            settings,
            "alert_listing",
            WATCH_SECONDS,
            "Tells of sites and meters that are new, gone, back, or listed as something else; once.",
            listing,
        ),
    ]


def _sensor(
    settings: Settings,
    name: str,
    seconds: int,
    description: str,
    look: Callable[[dg.SensorEvaluationContext, State], Told],
) -> dg.SensorDefinition:
    """A sensor that tells what ``look`` finds, given its cursor; it runs by itself if there are addresses."""
    off = "" if settings.alert_addresses else " Off: CLIMKIT_ALERT_URLS is not set."

    @dg.sensor(
        name=name,
        default_status=dg.DefaultSensorStatus.STOPPED if off else dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=seconds,
        description=f"{description}{off}",
    )
    def alert(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not settings.alert_addresses:
            return dg.SkipReason("CLIMKIT_ALERT_URLS is not set")
        return _tell(context, settings, *look(context, _read(context.cursor)))

    return alert


def _read(cursor: str | None) -> dict[str, Any]:
    state = json.loads(cursor) if cursor else {}
    return state if isinstance(state, dict) else {}


def _tell(
    context: dg.SensorEvaluationContext, settings: Settings, news: list[News], after: Mapping[str, Any]
) -> dg.SkipReason:
    """Send the news, and only then remember it: a message that reached nobody is sent again at the next look."""
    said = "nothing new"
    if news:
        sender = f"climkit on {socket.gethostname()}, data in {settings.data_dir}"
        title, body = message_of(news, settings.zone, sender)
        delivery = send(settings.alert_addresses, title, body)
        said = f"{title}: {delivery}"
        if delivery.refused:
            context.log.warning(said)
    context.update_cursor(json.dumps(after))
    return dg.SkipReason(said)


# --- failed runs ------------------------------------------------------------------------------------------------------


def failure_news(instance: dg.DagsterInstance, state: State, now: datetime) -> Told:
    """What the runs that ended since the last look say, and the state after it.

    ``state``: ``until`` (how far runs were looked at), ``seen`` (ids of runs that may be met again), ``told`` (alarms)
    and ``places`` (by alarm: what has to become good before it is over).
    """
    until = datetime.fromisoformat(state["until"]) if "until" in state else now - LOOK_BACK
    seen: list[str] = list(state.get("seen", ()))
    told = from_json(state.get("told", ()))
    places: dict[str, list[dict[str, Any]]] = {key: list(of_it) for key, of_it in state.get("places", {}).items()}
    current = dict(told)
    ended = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
    records = instance.get_run_records(
        dg.RunsFilter(statuses=ended, updated_after=until - OVERLAP),
        limit=MOST_RUNS,
        order_by="update_timestamp",
        ascending=True,
    )
    for record in records:
        run = record.dagster_run
        until = max(until, record.update_timestamp.replace(tzinfo=UTC))
        if run.run_id in seen or not _is_ours(run):
            continue
        seen.append(run.run_id)
        if run.status == dg.DagsterRunStatus.FAILURE:
            alarm = _failure(instance, run, record.end_time or now.timestamp())
            current[alarm.key] = told.get(alarm.key, alarm)
            place = _place_of(run)
            of_it = places.setdefault(alarm.key, [])
            if place not in of_it:
                places[alarm.key] = [*of_it, place][-MOST_PLACES:]
        else:
            good = _place_of(run)
            for key in [key for key in current if key.startswith(f"run {_kind_of(run)} ")]:
                places[key] = [place for place in places.get(key, ()) if not _covers(good, place)]
                if not places[key]:
                    del current[key], places[key]
    news = news_of(told, current.values())
    after = told_after(told, news)
    return news, {
        "until": until.isoformat(),
        "seen": seen[-2 * MOST_RUNS :],
        "told": as_json(after),
        "places": {key: of_it for key, of_it in places.items() if key in after},
    }


def _is_ours(run: dg.DagsterRun) -> bool:
    """Whether it fills the lake or builds the warehouse; the instance may hold runs of other projects."""
    return _kind_of(run) != "other"


def _kind_of(run: dg.DagsterRun) -> str:
    if fills_the_lake(run):
        return "ingestion"
    # Dagster's own job of assets selects what a person picked.
    return "models" if run.job_name == MODELS_JOB.name or selects(run, WAREHOUSE_PREFIX) else "other"


def _failure(instance: dg.DagsterInstance, run: dg.DagsterRun, ended: float) -> Alarm:
    reason = _reason(instance, run.run_id)
    kind = _kind_of(run)
    place = _place_of(run)
    days = f" of {place['first_day']} to {place['last_day']}" if place["first_day"] else ""
    if kind == "ingestion":
        asked = f"{place['first_day']} {place['last_day']}" if place["first_day"] else "FROM TO"
        todo = (
            f"`climkit check` says whether the API, the log-in and the disk are well; then `climkit backfill {asked}` "
            "asks for what is missing, and for nothing else. Days that failed are red in the UI, and in no bill."
        )
    else:
        todo = (
            "What is published stays as it was until this is mended. `climkit refresh` tries again and names the "
            "reason; `climkit refresh --full` builds everything anew from the lake."
        )
    # Days, counts and ids of runs differ from morning to morning; the same meter that fails again is no news.
    told_apart_by = re.sub(r"\b\d[\d.,:\-]*\b", "#", reason)
    return Alarm(
        key=f"run {kind} {told_apart_by[:200]}",
        title=f"{run.job_name.strip('_').lower()} failed" if kind == "models" else "an ingestion failed",
        what=f"{reason} (run {run.run_id[:8]}{days}; in the UI: /runs/{run.run_id})",
        since=datetime.fromtimestamp(ended, UTC),
        todo=todo,
        told_apart_by=told_apart_by,
    )


def _reason(instance: dg.DagsterInstance, run_id: str) -> str:
    """What the run itself says: the first step that failed, else the run."""
    for kind in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE):
        for entry in instance.all_logs(run_id, of_type=kind):
            event = entry.dagster_event
            if event is None:
                continue
            error = event.step_failure_data.error if event.is_step_failure else None
            # The class of an error says nothing to a person: "dagster._core…Failure: 2 parts failed".
            text = first_cause(error) if error is not None else event.message or ""
            return re.sub(r"^[\w.]+(Error|Failure|Exception|Interrupt): ", "", text)
    return "its process ended without a word"


def _place_of(run: dg.DagsterRun) -> dict[str, Any]:
    """Which days, sites and datasets a run is about; None and nothing mean all."""
    first, last = run.tags.get(RANGE_START_TAG), run.tags.get(RANGE_END_TAG)
    single = run.tags.get("dagster/partition")
    given: Any = run.run_config
    config = given.get("ops", {}).get("ingest", {}).get("config", {})
    assets = {key.to_user_string() for key in run.asset_selection or ()}
    return {
        "first_day": first or single,
        "last_day": last or single,
        "sites": sorted(config.get("site_ids") or ()),
        "assets": [] if assets >= ALL_DATASETS else sorted(assets),
    }


def _covers(good: Mapping[str, Any], failed: Mapping[str, Any]) -> bool:
    """Whether a good run was about the newest day of a failed one, and all that it was about."""
    if good["first_day"] and failed["last_day"] and not good["first_day"] <= failed["last_day"] <= good["last_day"]:
        return False
    return all(
        not good[name] or bool(failed[name] and set(failed[name]) <= set(good[name])) for name in ("sites", "assets")
    )


# --- what is listed ---------------------------------------------------------------------------------------------------


def listing_alarms(layout: Layout, since: datetime, until: datetime) -> Iterator[Alarm]:
    """What ingestions found to be listed otherwise, after ``since`` and up to ``until``, oldest first."""
    for day in journals.days_since(layout, FINDINGS, since):
        for row in journals.read_day(layout, FINDINGS, day).sort("found_at_utc").iter_rows(named=True):
            if row["code"] in TEXTS and since < row["found_at_utc"] <= until:
                said = ", ".join(row["samples"])
                yield listing_alarm(row["code"], row["site_id"], row["subject_id"], said, row["found_at_utc"])


# --- nothing came -----------------------------------------------------------------------------------------------------


def watch_alarms(
    instance: dg.DagsterInstance, settings: Settings, now: datetime, watching_since: datetime
) -> Iterable[Alarm]:
    """What is not as it should be at ``now``: no good ingestion, sites without values, months that stay blocked."""
    longest = timedelta(hours=settings.alert_after_hours)
    last_good = last_good_ingestion(instance)
    since = last_good or watching_since
    if now - since > longest:
        yield Alarm(
            key="no good ingestion",
            title=f"no good ingestion for {settings.alert_after_hours} hours",
            what="no run has filled the lake" + (" since then" if last_good else " since the alarms were switched on"),
            since=since,
            todo=(
                "Is the daemon running, and the schedule daily_look_back switched on (the UI's page Automation)? "
                "`climkit check` says whether the API and the log-in are well."
            ),
            told_apart_by="no good ingestion",
        )
    warehouse = Layout(settings.data_dir).warehouse
    if not warehouse.exists():
        return
    try:
        silent = silent_sites(warehouse, CheckSettings.of(settings, now), longest + LATE_DATA)
        blocked = long_blocked(warehouse, now.astimezone(settings.zone).date(), settings.alert_blocked_days)
    except WarehouseError as error:
        yield Alarm(
            key="warehouse",
            title="the warehouse cannot be read",
            what=str(error),
            since=datetime.fromtimestamp(warehouse.stat().st_mtime, UTC),
            todo="`climkit refresh --full` builds it anew from the lake.",
        )
        return
    for site in silent:
        yield Alarm(
            key=f"silent {site.site_id}",
            title=f"no values of {site.site}",
            what=f"the newest day with values of the site {site.site} ({site.site_id}) is {site.newest_day}",
            since=site.silent_since,
            todo=(
                "If ingestions are good, the API has nothing: the site's gateway is silent, or its meters are. Tell "
                "the provider. A site that was taken down ends in the listing by itself."
            ),
        )
    for month in blocked:
        yield Alarm(
            key=f"blocked {month.month:%Y-%m}",
            title=f"{month.month:%Y-%m} is still blocked",
            what=month.sentence,
            since=local_day(month.due, settings.zone).start_utc,
            todo=(
                "A person has to look: the check `grades` of billing_monthly in the UI, or `climkit export billing "
                f"{month.month:%Y-%m} --grade blocked`, whose column reasons says what is wrong with each meter."
            ),
        )


def last_good_ingestion(instance: dg.DagsterInstance) -> datetime | None:
    """When the newest run that filled the lake and succeeded ended; None if none of the last ones did."""
    records = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]), limit=MOST_RUNS, order_by="update_timestamp"
    )
    ended = [record.end_time for record in records if _kind_of(record.dagster_run) == "ingestion" and record.end_time]
    return datetime.fromtimestamp(max(ended), UTC) if ended else None

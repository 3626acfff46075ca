"""Answers broken on purpose, at random with a seed or exactly where a test wants them; the truth never changes."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest
from simulator_client import CREDENTIALS, NOW, naive, total

from climkit_pipeline.domain.periods import local_days
from climkit_pipeline.simulator import Fault, FaultPlan, Request
from climkit_pipeline.simulator.faults import ODD, PASSING, RANDOM_KINDS

DAYS = (date(2026, 6, 1), date(2026, 6, 7))


def ask_week(api, world) -> httpx.Response:
    site = world.sites[0]
    period = local_days(*DAYS, site.zone)
    path = f"/meter_data/{site.site_id}/{site.meters[0].id}"
    return api.post(path, t_s=naive(period.start_utc), t_e=naive(period.end_utc))


def once(fault: Fault):
    """Meets the first data call only."""
    return lambda request: fault if request.endpoint == "meter_data" and request.attempt == 1 else None


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault("http_500"), 500),
        (Fault("http_503", retry_after_seconds=2), 503),
        (Fault("http_503", retry_after_seconds=2, retry_after_as_date=True), 503),
        (Fault("rate_429"), 429),
        (Fault("html"), 200),
        (Fault("truncated"), 200),
        (Fault("short", share=0.25), 200),
        (Fault("slow", seconds=0.02), 200),
        (Fault("expired"), 401),
        (Fault("status", status=413, body={"error": "too long"}, headers={"X-Why": "size"}), 413),
        (Fault("rewrite", rewrite=lambda rows: [{**row, "total": None} for row in rows]), 200),
    ],
)
def test_a_forced_fault_breaks_one_answer_and_the_next_is_right(world, serve, fault, status):
    api = serve(interceptor=once(fault))
    broken = ask_week(api, world)
    assert broken.status_code == status
    assert broken.headers["X-Climkit-Simulator"] == str(world.seed)
    check_broken(fault, broken)
    if fault.kind == "expired":
        assert ask_week(api, world).status_code == 401
        api.log_in()
    right = ask_week(api, world)
    assert (right.status_code, len(right.json())) == (200, 672)
    truth = world.truth_between(world.sites[0].site_id, world.sites[0].meters[0].id, *DAYS)
    assert total(right.json(), "total") == truth.total
    calls = [call for call in api.server.calls if call.endpoint == "meter_data"]
    assert (calls[0].status, calls[0].fault) == (status, fault.kind)
    assert calls[0].rows == {"short": 504, "slow": 672, "rewrite": 672}.get(fault.kind, 0)
    assert (calls[-1].status, calls[-1].fault, calls[-1].rows) == (200, None, 672)


def check_broken(fault: Fault, answer: httpx.Response) -> None:
    """What each kind looks like to a client."""
    if fault.kind == "http_503":
        stated = answer.headers["Retry-After"]
        if fault.retry_after_as_date:
            assert 1 <= (parsedate_to_datetime(stated) - NOW).total_seconds() <= 2
        else:
            assert stated == "2"
    elif fault.kind == "html":
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "<html>" in answer.text
    elif fault.kind == "truncated":
        assert int(answer.headers["Content-Length"]) == len(answer.content) > 10_000
        with pytest.raises(json.JSONDecodeError):
            answer.json()
    elif fault.kind == "short":
        assert len(answer.json()) == 504
    elif fault.kind == "slow":
        assert len(answer.json()) == 672
    elif fault.kind == "status":
        assert (answer.json(), answer.headers["X-Why"]) == ({"error": "too long"}, "size")
    elif fault.kind == "rewrite":
        assert {row["total"] for row in answer.json()} == {None}
    else:
        assert answer.json()["error"]


@pytest.mark.parametrize("fault", [Fault("reset"), Fault("reset", abort=True), Fault("broken_off")])
def test_connections_that_end_early_are_errors_of_the_transport(world, serve, fault):
    api = serve(interceptor=once(fault))
    with pytest.raises(httpx.TransportError):
        ask_week(api, world)
    assert len(ask_week(api, world).json()) == 672
    first, second = (call for call in api.server.calls if call.endpoint == "meter_data")
    assert first.status == (0 if fault.kind == "reset" else 200)
    assert (first.rows, second.rows) == (0, 672)


def test_an_interceptor_sees_every_call_with_its_count(world, serve):
    seen: list[Request] = []
    api = serve(interceptor=seen.append)
    ask_week(api, world)
    ask_week(api, world)
    site = world.sites[0]
    api.get(f"/{site.site_id}/sensors_list")
    assert [(request.number, request.endpoint, request.attempt) for request in seen] == [
        (1, "auth", 1),
        (2, "meter_data", 1),
        (3, "meter_data", 2),
        (4, "sensors_list", 1),
    ]
    assert seen[1].subject == site.meters[0].id
    assert seen[1].t_s == local_days(*DAYS, site.zone).start_utc


def test_a_plan_is_read_from_text():
    plan = FaultPlan.parse("http_500=0.02, rate_429=0.01,truncated=0.02;html=0.01,seed=3")
    assert plan == FaultPlan({"http_500": 0.02, "rate_429": 0.01, "truncated": 0.02, "html": 0.01}, seed=3)
    assert FaultPlan.parse("") == FaultPlan()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http_501=0.1", "http_500, http_503, rate_429, truncated"),
        ("status=0.1", "no fault is called 'status'"),
        ("short", "short needs a number after ="),
        ("short=often", "short needs a number"),
        ("seed=a", "seed needs a number"),
        ("short=1.5", "between 0 and 1"),
        ("short=-0.1", "between 0 and 1"),
        ("short=nan", "between 0 and 1"),
        ("short=0.6,html=0.6", "exceed 1"),
    ],
)
def test_plans_that_make_no_sense_are_refused_with_what_there_is(text, message):
    with pytest.raises(ValueError, match=message):
        FaultPlan.parse(text)


def test_faults_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="there are: http_500"):
        Fault("earthquake")
    with pytest.raises(ValueError, match="rewrites"):
        Fault("rewrite")


def test_a_plan_draws_the_same_faults_for_the_same_requests_at_about_its_rates():
    plan = FaultPlan(dict.fromkeys(RANDOM_KINDS, 0.03), seed=3)
    requests = [Request(number, 1, "POST", "meter_data") for number in range(1, 4001)]
    drawn = [plan.fault_for(request) for request in requests]
    assert drawn == [plan.fault_for(request) for request in reversed(requests)][::-1]
    assert drawn != [FaultPlan(plan.probabilities, seed=4).fault_for(request) for request in requests]
    counts = Counter(fault.kind for fault in drawn if fault)
    assert set(counts) == set(RANDOM_KINDS)
    assert all(80 < count < 160 for count in counts.values())
    assert all(0.05 <= fault.share <= 0.3 for fault in drawn if fault)


def test_faults_that_make_no_sense_at_the_log_in_or_in_listings_stay_away():
    plan = FaultPlan({"expired": 0.5, "short": 0.5})
    kinds = {
        endpoint: {
            fault.kind
            for number in range(200)
            if (fault := plan.fault_for(Request(number, 1, "POST", endpoint))) is not None
        }
        for endpoint in ("auth", "meter_info", "meter_data")
    }
    assert kinds == {"auth": set(), "meter_info": {"expired"}, "meter_data": {"expired", "short"}}


def test_under_random_faults_a_stubborn_client_still_gets_the_truth(world, serve):
    plan = FaultPlan(dict.fromkeys(PASSING, 0.04), seed=11, slow_seconds=0.02)
    api = serve(faults=plan, log_in=False)
    site = world.sites[0]
    truth = world.truth_between(site.site_id, site.meters[0].id, *DAYS).total
    good = 0
    for _ in range(150):
        try:
            answer = ask_week(api, world)
            if answer.status_code == 401:
                session = api.http.post("/auth", json=CREDENTIALS)
                if session.status_code == 200 and "access_token" in session.text[:20]:
                    api.http.headers["Authorization"] = f"Bearer {session.json()['access_token']}"
            elif answer.status_code == 200 and len(answer.json()) == 672:
                assert total(answer.json(), "total") == truth
                good += 1
        except (httpx.TransportError, json.JSONDecodeError):
            continue
    met = {call.fault for call in api.server.calls}
    assert met >= set(PASSING)
    assert good > 60


@pytest.mark.parametrize("kind", ["http_400", "http_403", "http_404", "http_413", "http_422"])
def test_a_status_on_demand_is_that_status(world, serve, kind):
    api = serve(faults=FaultPlan({kind: 0.5}, seed=2))
    statuses = {ask_week(api, world).status_code for _ in range(12)}
    assert statuses == {200, int(kind.removeprefix("http_"))}


def test_redirects_and_oversize_answers_on_demand(world, serve):
    api = serve(faults=FaultPlan({"redirect": 0.5}, seed=2))
    assert {ask_week(api, world).status_code for _ in range(8)} == {200, 302}
    api = serve(faults=FaultPlan({"oversize": 1.0}, seed=2))
    assert len(ask_week(api, world).content) > 64 * 2**20


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_answer_differs_from_the_good_one_as_its_kind_says(world, serve, kind):
    good = ask_week(serve(), world).json()
    odd = ask_week(serve(faults=FaultPlan({kind: 1.0})), world).json()
    added = [row for row in odd if row not in good]
    assert len(odd) == {"empty": 0, "duplicate": 673, "conflict": 673, "outside": 673}.get(kind, 672)
    assert len(added) == {"empty": 0, "duplicate": 0}.get(kind, 1)
    if kind == "not_a_number":
        assert "n/a" in added[0].values()
    if kind == "off_grid":
        assert datetime.fromisoformat(added[0]["timestamp"]).minute % 15 == 7

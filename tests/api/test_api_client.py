"""The client over a real socket: the nine calls, the token's life, retries by class, bounds, secrets."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
import traceback
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import count

import pytest
from api_parts import DAY, LOG_IN, NOW, PASSWORD, TOKEN, USERNAME, logging_in

from climkit_pipeline.api import calls, responses
from climkit_pipeline.api.client import Attempt, RetryPolicy
from climkit_pipeline.domain.periods import Period
from climkit_pipeline.errors import (
    ApiError,
    ApiUnavailableError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    RateLimitedError,
    RejectedError,
    UnexpectedPayloadError,
)
from climkit_pipeline.simulator import AccountForm, Fault

WRONG = "a-wrong-password-nobody-may-see"


def endpoints(server) -> list[str]:
    return [call.endpoint for call in server.calls]


def first_times(fault: Fault, *, times: int = 1, endpoint: str = "all_installations"):
    """An interceptor that breaks the first ``times`` calls of one endpoint."""
    left = count(1)
    return lambda request: fault if request.endpoint == endpoint and next(left) <= times else None


# --- the nine calls ---------------------------------------------------------------------------------------------


def test_the_nine_calls_bring_what_the_world_holds(world, simulate, connect):
    site = world.sites[0]
    server = simulate()
    api = connect(server.base_url)
    meter = next(meter for meter in site.meters if meter.type == "electricity" and not meter.is_rule_meter)
    sensor = site.sensors[0]

    assert api.installations() == [site.site_id]
    infos = api.installation_infos(site.site_id)
    assert (infos.site_ref, infos.name, infos.city) == (site.site_ref, site.name, site.city)
    assert (infos.postal_code, infos.timezone) == (str(site.postal_code), site.zone.key)
    assert (infos.latitude, infos.longitude) == (site.latitude, site.longitude)
    assert infos.created_at_utc.astimezone(site.zone).isoformat()[:19] == f"{site.created}T00:00:00"
    assert infos.extra == {}
    listed = [(m.meter_id, m.meter_type, m.meter_mode, m.name, m.primary_address) for m in api.meters(site.site_id)]
    assert listed == [(m.id, m.type, m.mode, m.name, m.prim_ad) for m in site.meters]
    rules = {m.meter_id for m in api.meters(site.site_id) if m.is_rule_meter}
    assert rules == {m.id for m in site.meters if m.is_rule_meter}
    sensors = [(s.sensor_id, s.name, s.sensor_type, s.unit, s.model) for s in api.sensors(site.site_id)]
    assert sensors == [(s.id, s.name, s.type, s.unit, s.model) for s in site.sensors]

    ends = [DAY.start_utc + timedelta(minutes=15 * number) for number in range(1, 97)]
    of_site = api.site_series(site.site_id, "electricity", DAY)
    of_meter = api.meter_series(site.site_id, meter.id, DAY)
    raw = api.raw_readings(site.site_id, meter.id, DAY)
    readings = api.sensor_readings(site.site_id, sensor.id, DAY)
    for rows in (of_site, of_meter, raw, readings):
        assert [row.stamp_utc for row in rows] == ends
        assert not any(row.extra for row in rows)
    truth = world.truth_between(site.site_id, meter.id, datetime(2026, 11, 10).date(), datetime(2026, 11, 10).date())  # noqa: DTZ001
    assert sum(row.total for row in of_meter) == pytest.approx(float(truth.total))
    assert [raw[-1].index_import_kwh] == pytest.approx([float(truth.index_end["en_im"])])
    assert all(row.consumption is not None and row.grid_import is not None for row in of_site)
    assert len(api.sensor_readings(site.site_id, sensor.id)) == 1
    hourly = api.meter_series(site.site_id, meter.id, DAY, "H")
    assert [row.stamp_utc for row in hourly] == [DAY.start_utc + timedelta(hours=number) for number in range(24)]

    assert [call.status for call in server.calls] == [200] * len(server.calls)
    assert endpoints(server)[0] == "auth"
    assert len(set(endpoints(server))) == 9
    assert endpoints(server).count("auth") == 1


def test_windows_go_out_as_utc_without_a_zone(script, connect):
    server = script(logging_in(lambda request: request.answer(200)))
    api = connect(server.base_url)
    api.meter_series("s", "m", DAY, "D")
    api.sensor_readings("s", "x", DAY)
    body = json.loads(server.asked[1][2])
    assert body == {"t_s": "2026-11-09T23:00:00", "t_e": "2026-11-10T23:00:00", "sampling_frequency": "D"}
    assert server.paths[2] == "/s/sensor_data/x?t_s=2026-11-09T23%3A00%3A00&t_e=2026-11-10T23%3A00%3A00"


@pytest.mark.parametrize("hostile", ["../../auth", "a/b", "a?x=1", "a#b", "a%2fb", "a b", "ä;:@&=", "..."])
def test_ids_are_quoted_into_one_part_of_the_path(script, connect, hostile):
    """An id from the API that holds a slash must never reach another resource."""
    server = script(logging_in(lambda request: request.answer(200)))
    api = connect(server.base_url)
    api.meter_series(hostile, hostile, DAY)
    path = server.paths[1]
    assert path.startswith("/meter_data/")
    assert path.count("/") == 3
    assert not set(path) & set("?# ")


@pytest.mark.parametrize("hostile", ["", ".", ".."])
def test_ids_of_dots_are_refused_before_anything_is_sent(script, connect, hostile):
    """``..`` needs no quoting, and the HTTP library resolves it: the call went to another resource."""
    server = script(logging_in(lambda request: request.answer(200)))
    api = connect(server.base_url)
    for ask in (api.installation_infos, api.meters, api.sensors, lambda name: api.raw_readings("s", name, DAY)):
        with pytest.raises(UnexpectedPayloadError, match="not an id"):
            ask(hostile)
    assert server.asked == []


def test_an_answer_carries_its_bytes_and_its_times(world, simulate, connect, clock):
    server = simulate(interceptor=first_times(Fault("http_500"), times=2))
    answer = connect(server.base_url).perform(calls.all_installations())
    assert (
        json.loads(answer.body)
        == answer.payload
        == [{"id": site.site_id, "site_ref": site.site_ref, "name": site.name} for site in world.sites]
    )
    assert (answer.status, answer.attempts) == (200, 3)
    assert answer.started_at_utc == answer.received_at_utc == clock.now()
    assert len(answer.sha256) == 64
    assert world.sites[0].site_id not in repr(answer)


def test_every_try_is_told_to_the_ledger(simulate, connect):
    told: list[Attempt] = []
    server = simulate(interceptor=first_times(Fault("reset")))
    connect(server.base_url, on_attempt=told.append).installations()
    assert [(attempt.call.endpoint, attempt.outcome) for attempt in told] == [
        ("auth", "ok"),
        ("all_installations", "RemoteProtocolError"),
        ("all_installations", "ok"),
    ]
    assert [attempt.number for attempt in told[1:]] == [1, 2]
    assert [attempt.status for attempt in told] == [200, None, 200]
    assert [attempt.rows for attempt in told] == [None, None, len(server.world.sites)]
    assert told[-1].size_bytes > 0
    assert told[0].sha256 is None, "the answer to a log-in holds a token"
    assert len(told[-1].sha256) == 64


# --- the token --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lifetime", "margin"), [(900, 30), (120, 30), (100, 25), (8, 2)])
def test_the_log_in_is_renewed_before_the_token_ends(simulate, connect, clock, lifetime, margin):
    """A quarter of the life at most: a fixed margin would log in before every call where tokens live shortly."""
    server = simulate(token_lifetime=timedelta(seconds=lifetime))
    api = connect(server.base_url)
    api.installations()
    clock.advance(lifetime - margin - 0.5)
    api.installations()
    assert endpoints(server).count("auth") == 1
    clock.advance(0.6)
    api.installations()
    assert endpoints(server) == ["auth", "all_installations", "all_installations", "auth", "all_installations"]
    assert {call.status for call in server.calls} == {200}


@pytest.mark.parametrize("offset_hours", [-48, -1, 48])
def test_a_wrong_clock_on_this_machine_renews_after_the_documented_life(script, connect, clock, offset_hours):
    """A machine whose clock is an hour fast took every new token for an ended one, and logged in for every call."""
    server = script(logging_in(lambda request: request.answer(200)))
    wrong = lambda: clock.now() - timedelta(hours=offset_hours) + timedelta(minutes=27)  # noqa: E731
    api = connect(server.base_url, now=wrong)
    for _ in range(3):
        api.installations()
    clock.advance(15 * 60 - 31)
    api.installations()
    assert server.paths.count("/auth") == 1
    clock.advance(2)
    api.installations()
    assert server.paths.count("/auth") == 2


def test_a_token_ended_early_costs_one_log_in_and_the_call_is_repeated(world, simulate, connect):
    server = simulate()
    api = connect(server.base_url)
    api.installations()
    server.end_sessions()
    server.forget_calls()
    assert api.installations() == [site.site_id for site in world.sites]
    assert [(call.endpoint, call.status) for call in server.calls] == [
        ("all_installations", 401),
        ("auth", 200),
        ("all_installations", 200),
    ]


def test_threads_that_lose_one_token_log_in_once(simulate, connect):
    """Each thread discarding the token of the others would end in a storm of log-ins."""
    server = simulate()
    api = connect(server.base_url)
    api.installations()
    server.end_sessions()
    server.forget_calls()
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            barrier.wait(5)
            api.installations()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert endpoints(server).count("auth") == 1


def test_a_token_that_is_never_accepted_ends_the_call_after_five_new_log_ins(simulate, connect):
    """The credentials are good, so it is no AuthenticationError: that would end the whole run for one meter."""
    server = simulate(interceptor=first_times(Fault("expired"), times=100))
    with pytest.raises(RejectedError, match="after 5 new log-ins") as refused:
        connect(server.base_url).installations()
    assert refused.value.status == 401
    assert endpoints(server) == ["auth", "all_installations"] * 6


def test_two_clients_that_end_each_others_token_both_get_through(simulate, connect):
    """Two processes on an API with one session per account."""
    server = simulate(one_session=True)
    one, two = connect(server.base_url), connect(server.base_url)
    for _ in range(5):
        assert one.installations() == two.installations()
    assert endpoints(server).count("auth") == 10


@pytest.mark.parametrize("first_call", ["authenticate", "installations"])
def test_wrong_credentials_end_at_once(simulate, connect, clock, first_call):
    """A wrong password must not be tried again: accounts get locked."""
    server = simulate()
    api = connect(server.base_url, password=WRONG)
    with pytest.raises(AuthenticationError, match="CLIMKIT_USERNAME and CLIMKIT_PASSWORD"):
        getattr(api, first_call)()
    assert [(call.endpoint, call.status) for call in server.calls] == [("auth", 401)]
    assert clock.slept == []


@pytest.mark.parametrize(
    "kind",
    [
        "http_500",
        "http_503",
        "rate_429",
        "truncated",
        "broken_off",
        "html",
        "reset",
        "error_object",
        "no_body",
        "wrapped",
    ],
)
def test_the_log_in_is_repeated_on_faults(simulate, connect, kind):
    server = simulate(interceptor=first_times(Fault(kind), times=2, endpoint="auth"))
    connect(server.base_url).authenticate()
    assert endpoints(server) == ["auth"] * 3


# --- two clocks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-14 * 60, -600, -30, 0, 45, 14 * 60])
def test_a_server_some_minutes_off_costs_no_log_in_and_its_time_counts(simulate, connect, clock, seconds):
    """A server that was a token's life behind was logged in to before every call."""
    server = simulate(account=AccountForm(clock_seconds=seconds))
    api = connect(server.base_url)
    for _ in range(5):
        answer = api.perform(calls.all_installations())
    assert endpoints(server).count("auth") == 1
    assert abs(answer.received_at_utc - clock.now() - timedelta(seconds=seconds)) <= timedelta(seconds=1)


@pytest.mark.parametrize("days", [-365, -1, -1 / 24, 1 / 24, 366])
def test_a_clock_that_the_server_contradicts_fetches_nothing(simulate, connect, days):
    """Answers of "next year" stayed current for a year, whatever came after them."""
    server = simulate(account=AccountForm(clock_seconds=int(days * 86400)))
    with pytest.raises(ConfigurationError, match=r"this machine's clock says 2026-.* set the clock right"):
        connect(server.base_url).installations()
    assert endpoints(server) == ["auth"]


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}, {"Date": "Mon, 01 Jan 2001 00:00:00 GMT", "Age": "5"}])
def test_a_server_that_states_no_time_of_its_own_contradicts_nobody(script, connect, headers):
    server = script(logging_in(lambda request: request.answer(200, b"[]", headers)))
    assert connect(server.base_url).installations() == []


# --- retries by class -------------------------------------------------------------------------------------------

BROKEN = [
    Fault("http_500"),
    Fault("http_503"),
    Fault("http_503", retry_after_as_date=True),
    Fault("rate_429"),
    Fault("truncated"),
    Fault("truncated", share=1),
    Fault("broken_off"),
    Fault("html"),
    Fault("reset"),
    Fault("reset", abort=True),
    Fault("status", status=408),
    Fault("status", status=502),
    Fault("status", status=504),
    Fault("status", status=599),
    Fault("error_object"),
    Fault("no_body"),
    Fault("wrapped"),
]


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: f"{fault.kind}-{fault.status}")
@pytest.mark.parametrize("after_success", [False, True])
def test_a_fault_that_passes_is_retried(world, simulate, connect, fault, after_success):
    breaks = iter([None] * after_success + [fault] * 3)
    server = simulate(interceptor=lambda request: next(breaks, None) if request.endpoint != "auth" else None)
    api = connect(server.base_url)
    for _ in range(1 + after_success):
        assert api.installations() == [site.site_id for site in world.sites]
    assert endpoints(server) == ["auth"] + ["all_installations"] * (4 + after_success)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RejectedError),
        (404, NotFoundError),
        (409, RejectedError),
        (413, RejectedError),
        (422, RejectedError),
        (301, RejectedError),
        (302, RejectedError),
        (307, RejectedError),
    ],
)
def test_a_refusal_is_final(simulate, connect, clock, status, error):
    """Redirects too: following one would send the token to whoever it names."""
    elsewhere = {"Location": "http://127.0.0.1:9/api/v1/all_installations"}
    fault = Fault("status", status=status, body={"error": "no"}, headers=elsewhere)
    server = simulate(interceptor=first_times(fault, times=100))
    with pytest.raises(error) as raised:
        connect(server.base_url).installations()
    assert getattr(raised.value, "status", 404) == status
    assert not raised.value.can_retry
    assert endpoints(server) == ["auth", "all_installations"]
    assert clock.slept == []


def test_a_token_that_has_ended_may_be_told_with_403(simulate, connect):
    """The rest of a run failed, though a new log-in was all that it needed."""

    def interceptor(request):
        is_ended = endpoints(server) == ["auth", "all_installations"]
        return Fault("http_403") if is_ended and request.endpoint != "auth" else None

    server = simulate(interceptor=interceptor)
    api = connect(server.base_url)
    for _ in range(3):
        api.installations()
    assert endpoints(server) == ["auth", "all_installations", "all_installations", "auth"] + ["all_installations"] * 2


def test_what_is_forbidden_costs_one_log_in_for_a_token(simulate, connect, world):
    """A site whose rights were taken away is no reason to log in for each of its calls."""
    server = simulate(interceptor=lambda request: Fault("http_403") if request.endpoint == "meter_info" else None)
    api = connect(server.base_url)
    site = world.sites[0].site_id
    for _ in range(3):
        with pytest.raises(RejectedError) as raised:
            api.meters(site)
        assert raised.value.status == 403
        api.installations()
    assert endpoints(server) == [
        "auth", "meter_info", "auth", "meter_info", "all_installations",
        "meter_info", "all_installations", "meter_info", "all_installations",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [204, 205])
def test_a_success_without_a_body_is_no_answer(script, connect, status):
    answers = iter([(status, b"")])
    server = script(logging_in(lambda request: request.answer(*next(answers, (200, b"[]")))))
    assert connect(server.base_url).installations() == []
    assert server.paths == ["/auth", "/all_installations", "/all_installations"]


@pytest.mark.parametrize("said", ["text/html; charset=utf-8", "application/json", ""])
def test_a_page_is_asked_again_and_json_is_taken_whatever_the_content_type_says(script, connect, said):
    """Frameworks send JSON as text/html, and proxies send pages as anything: the text decides."""
    headers = {"Content-Type": said} if said else {}
    bodies = iter([b"<!doctype html><h1>Maintenance</h1>", b"Service Unavailable"])
    server = script(logging_in(lambda request: request.answer(200, next(bodies, b"[]"), headers)))
    assert connect(server.base_url).installations() == []
    assert server.paths == ["/auth"] + ["/all_installations"] * 3


SERIES_CALL = "meter_series", "s", "m", Period(NOW - timedelta(days=1), NOW)
OTHER_SHAPES = {
    "an object with a message": (b'{"message": "no data yet"}', ("installations",), b"[]"),
    "null": (b"null", ("meters", "s"), b"[]"),
    "a text": (b'"error"', ("sensors", "s"), b"[]"),
    "a list inside data": (b'{"data": []}', SERIES_CALL, b"[]"),
    "a list of one message": (b'[{"message": "no data yet"}]', SERIES_CALL, b"[]"),
    "a list where an object belongs": (b"[]", ("installation_infos", "s"), b'{"name": "x"}'),
    "a message where a site belongs": (b'{"message": "x"}', ("installation_infos", "s"), b'{"name": "x"}'),
}


@pytest.mark.parametrize(("odd", "method", "good"), OTHER_SHAPES.values(), ids=OTHER_SHAPES)
def test_an_error_that_is_dressed_as_a_success_is_asked_again(script, connect, odd, method, good):
    """A public client asks three times; here such an answer ended the window at once, or became a nameless site."""
    bodies = iter([odd, odd])
    server = script(logging_in(lambda request: request.answer(200, next(bodies, good))))
    api = connect(server.base_url)
    name, *arguments = method
    getattr(api, name)(*arguments)
    assert len(server.paths) == 1 + 3


def test_an_error_that_stays_dressed_as_a_success_fails_without_repeating_its_text(script, connect):
    """Its fields are named, its values never: they may hold a token or a tenant's name."""
    server = script(logging_in(lambda request: request.answer(200, b'{"message": "of Mrs Keller", "code": 7}')))
    with pytest.raises(ApiUnavailableError, match=r"status 200 with an object \(code, message\) instead of") as raised:
        connect(server.base_url).installations()
    assert "Keller" not in str(raised.value)


@pytest.mark.parametrize("as_date", [False, True])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited(simulate, connect, clock, status, as_date):
    named = format_datetime(NOW + timedelta(seconds=17), usegmt=True) if as_date else "17"
    fault = Fault("status", status=status, headers={"Retry-After": named})
    server = simulate(interceptor=first_times(fault))
    connect(server.base_url).installations()
    assert clock.slept == pytest.approx([17])


@pytest.mark.parametrize(
    "named",
    [
        "0",
        "-1",
        "soon",
        "²",
        "9" * 400,
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 +99999999999999999999",
        "Thu, 01 Jan 99999 00:00:00 GMT",
        "Mon, 23 Nov 2026 12:03:30 -0000",
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_senseless_retry_after_neither_stops_nor_rushes_the_client(simulate, connect, clock, named, status):
    """``²`` and huge zones broke the parser with errors of their own; 0 or a past date hammered the API."""
    fault = Fault("status", status=status, headers={"Retry-After": named})
    refused = iter([None, fault])
    server = simulate(interceptor=lambda request: next(refused, None) if request.endpoint != "auth" else None)
    api = connect(server.base_url)
    api.installations()
    api.installations()
    assert len(clock.slept) == 1
    assert 0.2 <= clock.slept[0] <= 300


def test_the_growing_wait_is_a_number_after_any_count_of_attempts():
    """A server that named a second each time was asked 1,800 times in half an hour; the 1,025th ended in an error."""
    policy = RetryPolicy(first_wait=0.5, longest_wait=60)
    waits = {1: 0.5, 2: 1, 7: 32, 8: 60, 1_025: 60, 1_000_000: 60}
    assert {attempts: policy.growing_wait(attempts) for attempts in waits} == waits


def test_before_the_first_success_the_client_gives_up_after_a_minute(simulate, connect, clock):
    server = simulate(interceptor=lambda _: Fault("http_500"))
    began = clock.monotonic()
    with pytest.raises(ApiUnavailableError, match="500"):
        connect(server.base_url).installations()
    assert clock.monotonic() - began == pytest.approx(60)
    assert len(server.calls) >= 5


@pytest.mark.parametrize("named", ["3600", "61"])
def test_a_long_retry_after_does_not_stretch_the_first_minute(simulate, connect, clock, named):
    server = simulate(interceptor=lambda _: Fault("status", status=429, headers={"Retry-After": named}))
    began = clock.monotonic()
    with pytest.raises(RateLimitedError):
        connect(server.base_url).installations()
    assert clock.monotonic() - began == pytest.approx(60)


def test_nobody_listening_is_unavailable_after_a_minute(connect, clock):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ApiUnavailableError, match="does not answer"):
            connect(url).installations()
    assert sum(clock.slept) == pytest.approx(60)


@pytest.mark.parametrize("kind", ["http_500", "html", "reset"])
def test_after_a_success_a_call_has_eight_tries_and_five_minutes(simulate, connect, clock, kind):
    broken: list[Fault] = []
    server = simulate(interceptor=lambda _: broken[0] if broken else None)
    api = connect(server.base_url)
    api.installations()
    broken.append(Fault(kind))
    server.forget_calls()
    began = clock.monotonic()
    with pytest.raises(ApiUnavailableError):
        api.installations()
    assert len(server.calls) >= 8
    assert 300 <= clock.monotonic() - began <= 300 + 90 + 1
    assert max(clock.slept) <= 90
    assert len(set(clock.slept)) == len(clock.slept), "waits without jitter: clients that failed together come together"


def test_eight_tries_are_made_even_where_each_takes_minutes(simulate, connect, clock):
    """Three time-outs of a slow API must not use up the five minutes."""
    broken: list[Fault] = []

    def slowly(_: object) -> Fault | None:
        clock.advance(170 if broken else 0)
        return broken[0] if broken else None

    server = simulate(interceptor=slowly, token_lifetime=timedelta(hours=10))
    api = connect(server.base_url)
    api.installations()
    broken.append(Fault("http_500"))
    server.forget_calls()
    with pytest.raises(ApiUnavailableError):
        api.installations()
    assert endpoints(server) == ["all_installations"] * 8


def test_rate_limiting_uses_up_half_an_hour_never_tries(simulate, connect, clock):
    broken: list[Fault] = []
    server = simulate(interceptor=lambda _: broken[0] if broken else None)
    api = connect(server.base_url)
    api.installations()
    broken.append(Fault("rate_429", retry_after_seconds=2))
    began = clock.monotonic()
    with pytest.raises(RateLimitedError) as raised:
        api.installations()
    assert raised.value.retry_after_seconds == 2
    assert 1800 <= clock.monotonic() - began <= 1802


# --- bounds of one answer ---------------------------------------------------------------------------------------


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
DRIPS = {
    "body": (HEAD + b"[", b" "),
    # A gzip header whose file name never ends decodes to nothing.
    "packed body": (HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\xff", b"a"),
    "headers": (HEAD[:-2] + b"X-More: a", b"a"),
    "status line": (b"HTTP/1.1 20", b"0"),
}


def dripping(drip, clock, done):
    """A script whose first data answer comes in two drops with over three minutes between, and then never ends."""
    tries = count()

    def answer(request) -> None:
        if next(tries):
            request.answer(200)
            return
        first, second = DRIPS[drip]
        request.wfile.write(first)
        clock.advance(RetryPolicy().answer_deadline + 1)
        request.wfile.write(second)
        done.wait(10)

    return logging_in(answer)


@pytest.mark.parametrize("drip", DRIPS)
@pytest.mark.parametrize("has_proxy", [False, True])
def test_a_dripping_answer_is_cut_off_and_asked_again(script, connect, clock, monkeypatch, *, drip, has_proxy):
    """A time-out between bytes alone lets headers drip for months, and a packed drip decodes to no byte at all."""
    done = threading.Event()
    server = script(dripping(drip, clock, done))
    url = server.base_url
    if has_proxy:  # another spelling of this machine's address, for which the environment's proxy holds
        monkeypatch.setenv("http_proxy", url.removesuffix("/api/v1"))
        monkeypatch.setenv("no_proxy", "")
        url = url.replace("127.0.0.1", "2130706433")
    told: list[Attempt] = []
    api = connect(url, on_attempt=told.append, policy=RetryPolicy(first_success_deadline=1000, read_timeout=2))
    try:
        assert api.installations() == []
    finally:
        done.set()
    assert [attempt.duration_seconds > RetryPolicy().answer_deadline for attempt in told] == [False, True, False]
    assert told[1].outcome == "AnswerDeadline", "another time-out ended it, not the deadline of one answer"
    assert len(clock.slept) == 1
    assert server.asked[0][1].startswith("http://" if has_proxy else "/"), "did it go through the proxy?"


def test_the_simulators_slow_answer_is_retried_when_over_the_deadline(world, simulate, connect, clock):
    def slow_once(request):
        if request.endpoint == "auth" or request.attempt > 1:
            return None
        clock.advance(181)
        return Fault("slow", seconds=0.02)

    server = simulate(interceptor=slow_once)
    api = connect(server.base_url, policy=RetryPolicy(first_success_deadline=1000))
    assert api.installations() == [site.site_id for site in world.sites]
    assert endpoints(server).count("all_installations") == 2


@pytest.mark.parametrize("compressed", [False, True])
def test_an_oversize_answer_is_refused_once(script, connect, monkeypatch, compressed):
    """Compressed ones too: a few kB may hold gigabytes."""
    monkeypatch.setattr(responses, "MAX_ANSWER_BYTES", 100_000)
    content = b"[" + b" " * 100_000 + b"]"
    content, headers = (gzip.compress(content), {"Content-Encoding": "gzip"}) if compressed else (content, {})
    server = script(logging_in(lambda request: request.answer(200, content, headers)))
    with pytest.raises(UnexpectedPayloadError, match="larger"):
        connect(server.base_url).installations()
    assert server.paths == ["/auth", "/all_installations"]


@pytest.mark.parametrize(
    "content",
    [
        b"\x1f\x8b garbage",
        b"",
    ],
)
def test_an_answer_that_cannot_be_decompressed_is_retried(script, connect, content):
    answers = iter([{"Content-Encoding": "gzip"}])

    def garbled(request) -> None:
        headers = next(answers, None)
        request.answer(200, content if headers else b"[]", headers)

    server = script(logging_in(garbled))
    assert connect(server.base_url).installations() == []
    assert server.paths.count("/all_installations") == 2


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000 + b"]" * 100_000, b"[" + b"9" * 5000 + b"]", b'["\xff"]', b"", b"[1,]", b"[1][2]"],
    ids=["nested", "long number", "no UTF-8", "empty", "comma", "two texts"],
)
def test_what_no_parser_takes_is_an_api_error(script, connect, content):
    server = script(logging_in(lambda request: request.answer(200, content)))
    with pytest.raises(ApiUnavailableError, match="no whole JSON text"):
        connect(server.base_url).installations()


# --- secrets ----------------------------------------------------------------------------------------------------


def everything_in(error: BaseException | None) -> str:
    """All texts that an error and what it is chained to can show, suppressed ones too."""
    shown, seen = "", set()
    waiting = [error]
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        error.__suppress_context__ = False
        shown += "".join(traceback.format_exception(error)) + repr(error) + repr(error.args) + repr(vars(error))
        request = getattr(error, "_request", None)
        if request is not None:
            shown += repr(list(request.headers.items())) + repr(getattr(request, "_content", b""))
        waiting += [error.__cause__, error.__context__]
    return shown


def broken_answers():
    """Answers that end a call in an error, as (name, script)."""
    cut = LOG_IN[:-5]

    def hang_up(request) -> None:
        request.close_connection = True
        request.connection.shutdown(socket.SHUT_RDWR)

    def end_early(request) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + LOG_IN)
        hang_up(request)

    yield "cut log-in", lambda r: r.answer(200, cut)
    yield "log-in without time", lambda r: r.answer(200, f'{{"access_token": "{TOKEN}"}}'.encode())
    yield "log-in of a list", lambda r: r.answer(200, f'["{TOKEN}"]'.encode())
    yield "log-in refused with an echo", lambda r: r.answer(401, r.body + LOG_IN)
    yield "log-in not found", lambda r: r.answer(404, r.body)
    yield "log-in moved", lambda r: r.answer(307, r.body, {"Location": "/elsewhere"})
    yield "log-in broken", lambda r: r.answer(500, r.body)
    yield "log-in hung up", hang_up
    yield "log-in ended early", end_early
    for name, text in (("header", f"{TOKEN}\\r\\nX: y"), ("letters", f"{TOKEN}é"), ("half", f"{TOKEN}\\ud800")):
        content = LOG_IN.decode().replace(TOKEN, text).encode()
        yield f"token with {name}", lambda r, content=content: r.answer(200, content)
    echo = json.dumps([{"Authorization": f"Bearer {TOKEN}"}]).encode()
    yield "data that echo the token", logging_in(lambda r: r.answer(200, echo))
    oid = json.dumps([{"id": {"token": TOKEN}}]).encode()
    yield "an id that is the token", logging_in(lambda r: r.answer(200, oid))
    yield "data refused", logging_in(lambda r: r.answer(403, r.headers["Authorization"].encode()))
    yield "data hung up", logging_in(hang_up)
    yield "data never authorised", logging_in(lambda r: r.answer(401, LOG_IN))
    yield "data garbled", logging_in(lambda r: r.answer(200, LOG_IN, {"Content-Encoding": "gzip"}))
    yield "data cut", logging_in(lambda r: r.answer(200, cut))


BROKEN_ANSWERS = dict(broken_answers())


@pytest.mark.parametrize("name", BROKEN_ANSWERS)
def test_no_error_and_no_log_record_shows_password_or_token(script, connect, caplog, name):
    """A header value that the HTTP library refuses stood in its error message, token and all."""
    caplog.set_level(logging.DEBUG)
    server = script(BROKEN_ANSWERS[name])
    api = connect(server.base_url, password=WRONG, policy=RetryPolicy(first_success_deadline=2))
    with pytest.raises(ApiError) as raised:
        api.installations()
    for shown in (everything_in(raised.value), caplog.text, repr(api), repr([vars(r) for r in caplog.records])):
        assert WRONG not in shown
        assert TOKEN not in shown
    assert server.asked, "nothing was asked, so nothing was shown"
    assert "\n" not in str(raised.value)


def test_a_good_run_logs_no_secret(simulate, connect, caplog):
    caplog.set_level(logging.DEBUG)
    server = simulate(interceptor=first_times(Fault("http_500")))
    api = connect(server.base_url)
    api.installations()
    token = api._token  # noqa: SLF001 - the secret itself, to look for it
    assert caplog.records
    for secret in (PASSWORD, token.text):
        assert secret not in caplog.text
        assert secret not in repr([vars(record) for record in caplog.records])
        assert secret not in repr(api) + repr(token) + str(token)


def test_the_password_goes_to_auth_alone_and_the_token_everywhere_else(script, connect):
    seen: list[tuple[str, str | None]] = []

    def note(request) -> None:
        seen.append((request.path.rpartition("/")[2], request.headers.get("Authorization")))
        request.answer(200, LOG_IN if request.path.endswith("/auth") else b"[]")

    server = script(note)
    connect(server.base_url).installations()
    assert seen == [("auth", None), ("all_installations", f"Bearer {TOKEN}")]
    assert json.loads(server.asked[0][2]) == {"username": USERNAME, "password": PASSWORD}
    assert PASSWORD.encode() not in server.asked[1][2]


# --- whose data -------------------------------------------------------------------------------------------------


def test_the_simulators_seed_is_noted_on_loopback(world, simulate, connect):
    api = connect(simulate().base_url)
    assert api.simulator_seed is None
    api.authenticate()
    assert api.simulator_seed == str(world.seed)


def test_the_simulators_seed_is_ignored_elsewhere(world, simulate, connect, monkeypatch):
    """A header of the real API must not make its data pass for simulated ones, or the reverse."""
    server = simulate()
    # Another spelling of this machine's address, which is none of the names that count as loopback.
    api = connect(server.base_url.replace("127.0.0.1", "2130706433"))
    monkeypatch.setenv("NO_PROXY", "*")
    assert api.installations() == [site.site_id for site in world.sites]
    assert api.simulator_seed is None


def test_a_proxy_of_the_environment_is_no_way_to_this_machine(world, simulate, connect, monkeypatch):
    server = simulate()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert connect(server.base_url).installations() == [site.site_id for site in world.sites]

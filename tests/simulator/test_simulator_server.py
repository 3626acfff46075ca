"""Log-in, rate limit, refusals, ledger, connections: what guards the simulated API, over a real socket."""

from __future__ import annotations

import json
import socket
import threading
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from simulator_client import CREDENTIALS, NOW, Api, naive

from climkit_pipeline.domain.periods import local_day, local_month
from climkit_pipeline.simulator import Call, SimulatorServer, World


def nine_calls(site) -> list[tuple[str, str]]:
    meter, sensor = site.meters[0].id, site.sensors[0].id
    return [
        ("POST", "/auth"),
        ("GET", "/all_installations"),
        ("GET", f"/installation_infos/{site.site_id}"),
        ("GET", f"/meter_info/{site.site_id}"),
        ("POST", f"/site_data/{site.site_id}/electricity"),
        ("POST", f"/meter_data/{site.site_id}/{meter}"),
        ("POST", f"/meter_data_raw/{site.site_id}/{meter}"),
        ("GET", f"/{site.site_id}/sensors_list"),
        ("GET", f"/{site.site_id}/sensor_data/{sensor}"),
    ]


class Hand:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    def utc(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)


def test_all_nine_calls_answer_json_and_say_whose_data_they_are(world, api):
    site = world.sites[0]
    api.server.forget_calls()
    for method, path in nine_calls(site):
        answer = api.http.request(method, path, json=CREDENTIALS if path == "/auth" else None)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Climkit-Simulator"] == str(world.seed)
        assert answer.json()
    endpoints = [call.endpoint for call in api.server.calls]
    assert endpoints == [
        "auth",
        "all_installations",
        "installation_infos",
        "meter_info",
        "site_data",
        "meter_data",
        "meter_data_raw",
        "sensors_list",
        "sensor_data",
    ]


def test_the_ledger_tells_what_was_asked_and_answered(world, api):
    site = world.sites[0]
    day = local_day(date(2026, 6, 10), site.zone)
    api.server.forget_calls()
    api.rows(f"/site_data/{site.site_id}/heating", day, "H")
    api.post(f"/meter_data/{site.site_id}/nothing", t_s="nonsense")
    series, refused = api.server.calls
    assert series == Call(
        arrived=series.arrived,
        method="POST",
        endpoint="site_data",
        site_id=site.site_id,
        subject="heating",
        t_s=day.start_utc,
        t_e=day.end_utc,
        sampling_frequency="H",
        status=200,
        rows=24,
        fault=None,
    )
    assert (refused.subject, refused.t_s, refused.rows) == ("nothing", None, 0)
    assert refused.status in (400, 404)
    assert refused.arrived > series.arrived


@pytest.mark.parametrize(
    ("rate", "gap", "statuses"),
    [
        (1.0, 1.0, [200, 200, 200, 200]),
        (1.0, 0.99, [200, 429, 429, 429]),
        (4.0, 0.25, [200] * 8),
        (4.0, 0.24, [200] * 4 + [429] * 4),
        (0.5, 2.0, [200, 200, 200]),
        (0.5, 1.9, [200, 429, 429]),
        (None, 0.0, [200] * 30),
    ],
)
def test_the_rate_limit_holds_in_every_sliding_second(serve, rate, gap, statuses):
    """Refused calls count too: a client that does not slow down never gets through again."""
    hand = Hand()
    api = serve(requests_per_second=rate, monotonic=hand)
    got = []
    for _ in statuses:
        hand.seconds += gap if rate is None or got or gap == 0.0 else 10.0
        answer = api.get("/all_installations")
        got.append(answer.status_code)
        assert (answer.status_code == 429) == ("Retry-After" in answer.headers)
    assert got == statuses


def test_waiting_as_told_after_429_gets_through(serve):
    hand = Hand()
    api = serve(requests_per_second=1, monotonic=hand)
    refused = api.get("/all_installations")
    assert refused.status_code == 429
    assert refused.headers["Content-Type"] == "application/json"
    hand.seconds += float(refused.headers["Retry-After"])
    assert api.get("/all_installations").status_code == 200
    assert [call.status for call in api.server.calls] == [200, 429, 200]


def test_all_calls_share_one_budget(world, serve):
    hand = Hand()
    api = serve(requests_per_second=9, monotonic=hand)
    hand.seconds += 5
    for method, path in nine_calls(world.sites[0]):
        assert api.http.request(method, path, json=CREDENTIALS if path == "/auth" else None).status_code == 200
    for method, path in [*nine_calls(world.sites[0]), ("GET", "/nowhere/at/all")]:
        assert api.http.request(method, path, json=CREDENTIALS if path == "/auth" else None).status_code == 429


def test_parallel_clients_cannot_pass_the_limit(world, serve):
    hand = Hand()
    api = serve(requests_per_second=5, monotonic=hand)
    hand.seconds += 5
    statuses: list[int] = []

    def ask() -> None:
        with Api(api.server, log_in=False) as client:
            client.http.headers = api.http.headers
            statuses.extend(client.get("/all_installations").status_code for _ in range(4))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 5 + [429] * 15


@pytest.mark.parametrize("rate", [0, -1.0])
def test_a_rate_that_is_no_rate_is_refused(world, rate):
    with pytest.raises(ValueError, match="positive"):
        SimulatorServer(world, requests_per_second=rate)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (json.dumps(CREDENTIALS), 200),
        (json.dumps({**CREDENTIALS, "password": "wrong"}), 401),
        (json.dumps({**CREDENTIALS, "username": "wrong"}), 401),
        (json.dumps({**CREDENTIALS, "password": None}), 401),
        (json.dumps({"username": "demo"}), 400),
        ("username=demo&password=demo-simulator", 400),
        ("[]", 400),
        ("", 400),
    ],
)
def test_the_log_in_takes_json_credentials(serve, body, status):
    api = serve(log_in=False)
    answer = api.http.post("/auth", content=body)
    assert answer.status_code == status
    assert ("access_token" in answer.json()) == (status == 200)


def test_a_token_says_until_when_it_is_valid_and_then_ends(world, serve):
    hand = Hand()
    api = serve(clock=hand.utc, log_in=False)
    session = api.http.post("/auth", json=CREDENTIALS).json()
    until = datetime.fromtimestamp(session["valid_until"]["$date"] / 1000, UTC)
    assert until == hand.utc() + timedelta(minutes=15)
    api.http.headers["Authorization"] = f"Bearer {session['access_token']}"
    hand.seconds += 899
    assert api.get("/all_installations").status_code == 200
    hand.seconds += 1
    expired = api.get("/all_installations")
    assert (expired.status_code, expired.headers["Content-Type"]) == (401, "application/json")
    api.log_in()
    assert api.get("/all_installations").status_code == 200


@pytest.mark.parametrize("header", [None, "Bearer nonsense", "Basic ZGVtbzpkZW1v", "Bearer"])
def test_every_data_call_needs_a_token(world, serve, header):
    api = serve(log_in=False)
    for method, path in nine_calls(world.sites[0])[1:]:
        headers = {"Authorization": header} if header else {}
        assert api.http.request(method, path, headers=headers).status_code == 401


@pytest.mark.parametrize(("one_session", "status"), [(False, 200), (True, 401)])
def test_a_second_log_in_may_end_the_first_token(serve, one_session, status):
    api = serve(one_session=one_session)
    with Api(api.server) as second:
        assert second.get("/all_installations").status_code == 200
        assert api.get("/all_installations").status_code == status
        assert second.http.headers["Authorization"] != api.http.headers["Authorization"]
    api.server.end_sessions()
    assert api.get("/all_installations").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/installation_infos/{other}",
        "/meter_info/{other}",
        "/{other}/sensors_list",
        "/{site}/sensor_data/{other}",
        "/{other}/sensor_data/{sensor}",
        "/nonsense",
        "/meter_data/{site}",
        "/{site}/nonsense",
        "/meter_info/{site}/more",
        "",
    ],
)
def test_unknown_things_are_not_found(world, api, path):
    site = world.sites[0]
    known = {"site": site.site_id, "sensor": site.sensors[0].id, "other": world.sites[1].meters[0].id}
    answer = api.get(path.format(**known))
    assert answer.status_code == 404
    assert answer.json()["error"]


@pytest.mark.parametrize("call", ["meter_data", "meter_data_raw"])
def test_unknown_sites_and_meters_have_no_series(world, api, call):
    site, other = world.sites[:2]
    assert api.post(f"/{call}/{site.site_id}/{other.meters[0].id}").status_code == 404
    assert api.post(f"/{call}/{other.meters[0].id}/{site.meters[0].id}").status_code == 404
    assert api.post(f"/{call}/{site.site_id}/{site.meters[0].id}").status_code == 200
    assert api.post(f"/site_data/{other.meters[0].id}/electricity").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"t_s": "yesterday"},
        {"t_s": 1_780_000_000},
        {"t_e": "2026-06-10T00:00:00Z"},
        {"t_e": "2026-06-10T00:00:00+02:00"},
        {"t_s": "2026-06-11T00:00:00", "t_e": "2026-06-10T00:00:00"},
        {"t_s": "0001-01-01T00:00:00"},
        {"sampling_frequency": "15min"},
        {"sampling_frequency": 15},
        {"sampling_frequency": ["D"]},
    ],
)
def test_windows_that_the_documentation_does_not_know_are_refused(world, api, body):
    site = world.sites[0]
    meter = site.meters[0].id
    for path in (f"/site_data/{site.site_id}/electricity", f"/meter_data/{site.site_id}/{meter}"):
        answer = api.post(path, **body)
        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/json"
    if "t_s" in body or "t_e" in body:
        assert api.post(f"/meter_data_raw/{site.site_id}/{meter}", **body).status_code == 400
        query = {name: str(value) for name, value in body.items()}
        sensor = site.sensors[0].id
        assert api.get(f"/{site.site_id}/sensor_data/{sensor}", **query).status_code == 400


@pytest.mark.parametrize("content", ["{", "[]", '"text"', "t_s=2026-06-10", b"\xff\xfe"])
def test_bodies_that_are_no_json_object_are_refused(world, api, content):
    site = world.sites[0]
    assert api.http.post(f"/meter_data/{site.site_id}/{site.meters[0].id}", content=content).status_code == 400


def test_unknown_types_rule_meters_and_methods_are_refused(world, api):
    site = world.sites[0]
    rule = next(meter for meter in site.meters if meter.is_rule_meter)
    assert api.post(f"/meter_data/{site.site_id}/{rule.id}").status_code == 200
    assert api.post(f"/meter_data_raw/{site.site_id}/{rule.id}").status_code == 400
    assert api.post(f"/site_data/{site.site_id}/gas").status_code == 400
    assert api.get(f"/meter_data/{site.site_id}/{site.meters[0].id}").status_code == 405
    assert api.post("/all_installations").status_code == 405
    odd = api.http.delete("/all_installations")
    assert (odd.status_code, odd.headers["Content-Type"]) == (501, "application/json")


def test_bodies_without_a_length_or_too_long_are_refused_and_the_connection_ends(world, api):
    site = world.sites[0]
    path = f"/meter_data/{site.site_id}/{site.meters[0].id}"
    chunked = api.http.post(path, content=iter([b"{}"]))
    long = api.http.post(path, content=b" " * 70_000)
    for answer in (chunked, long):
        assert (answer.status_code, answer.headers["Connection"]) == (400, "close")
    assert api.post(path).status_code == 200


def test_a_longest_window_is_an_option(world, serve):
    site = world.sites[0]
    path = f"/meter_data/{site.site_id}/{site.meters[0].id}"
    api = serve(longest_window=timedelta(days=7))
    start = datetime(2026, 6, 1, tzinfo=UTC)
    within = api.post(path, t_s=naive(start), t_e=naive(start + timedelta(days=7)))
    beyond = api.post(path, t_s=naive(start), t_e=naive(start + timedelta(days=7, minutes=15)))
    assert (within.status_code, len(within.json()), beyond.status_code) == (200, 672, 400)
    assert api.post(path, t_s=naive(start)).status_code == 400


def test_answers_cut_at_a_span_are_an_option(world, serve):
    site = world.sites[0]
    api = serve(answer_span=timedelta(days=3))
    for path in (
        f"/meter_data/{site.site_id}/{site.meters[0].id}",
        f"/{site.site_id}/sensor_data/{site.sensors[0].id}",
    ):
        rows = api.rows(path, local_month(date(2026, 6, 1), site.zone))
        assert len(rows) == 3 * 96


def test_one_connection_carries_many_calls(world, api):
    sockets = {
        api.get("/all_installations").extensions["network_stream"].get_extra_info("client_addr") for _ in range(20)
    }
    assert len(sockets) == 1


def test_an_answer_comes_in_one_piece_without_waiting_for_an_acknowledgement(world, serve):
    """Headers and body in two writes cost 40 ms per call (Nagle's algorithm against delayed acknowledgements)."""
    api = serve(log_in=False)
    with socket.create_connection(("127.0.0.1", api.server.port), timeout=60) as plain:
        for _ in range(10):
            plain.sendall(b"GET /api/v1/all_installations HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = plain.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
            assert json.loads(body)["error"]


def test_request_lines_that_are_no_http_are_refused_in_json(serve):
    api = serve(log_in=False)
    with socket.create_connection(("127.0.0.1", api.server.port), timeout=60) as plain:
        plain.sendall(b"nonsense\r\n\r\n")
        head, _, body = plain.recv(65536).partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"Content-Type: application/json" in head
    assert json.loads(body)["error"]


def test_stopping_ends_connections_and_threads(world):
    before = set(threading.enumerate())
    server = SimulatorServer(world, requests_per_second=None).start()
    with Api(server) as api:
        assert api.get("/all_installations").status_code == 200
        assert set(threading.enumerate()) > before
        server.stop()
        with pytest.raises(httpx.TransportError):
            api.get("/all_installations")
    server.stop()
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=60)
    assert set(threading.enumerate()) <= before


def test_a_given_port_is_served_and_only_on_loopback(world):
    with SimulatorServer(world) as first:
        port = first.port
        assert first.base_url == f"http://127.0.0.1:{port}/api/v1"
    with SimulatorServer(world, port=port) as again, Api(again) as api:
        assert again.port == port
        assert api.http.headers["Authorization"].startswith("Bearer ")


def test_serving_from_the_calling_thread_ends_with_stop():
    world = World(sites=1, meters=1)
    server = SimulatorServer(world, requests_per_second=None)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with Api(server) as api:
        assert len(api.get("/all_installations").json()) == 1
    server.stop()
    thread.join(timeout=60)
    assert not thread.is_alive()


def test_passwords_of_ones_own_are_taken(serve):
    api = serve(log_in=False, username="ann", password="päss")
    assert api.http.post("/auth", json=CREDENTIALS).status_code == 401
    assert api.http.post("/auth", json={"username": "ann", "password": "päss"}).status_code == 200

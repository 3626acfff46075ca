"""The authenticated client: one method per documented call, each paced, retried by class and bounded in time.

Here: the token's life, retries, the ledger's attempts. Not here: what one response says (``api.responses``), shapes of
answers (``api.answers``), what to ask for (``ingest``).

A call goes round as long as its error class says that a retry can help:

* 429, 5xx, 408, time-outs, resets, truncated JSON, a wrong content type: exponential backoff with jitter, or the wait
  that the server names;
* 401 on a data call: a new log-in, then the call again, up to 5 times (another process may have ended the token);
* 403 on a data call: the same, once for a token, since some servers say so of one that has ended;
* everything else, a refused log-in above all: at once, as it is.

Before the first call of this client has succeeded it gives up after 60 s; afterwards a call has at least 8 attempts
and 5 minutes. A 429 never uses up attempts; it has 30 minutes.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx
import tenacity

from climkit_pipeline.api import answers, calls
from climkit_pipeline.api.calls import Call, Frequency
from climkit_pipeline.api.network import DeadlineNetwork, known_authorities
from climkit_pipeline.api.responses import instant_of, payload_of, raise_for_status, read_body
from climkit_pipeline.domain.periods import LARGEST_CLOCK_DIFFERENCE, Period
from climkit_pipeline.errors import (
    ApiError,
    ApiUnavailableError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    RateLimitedError,
    RejectedError,
    TokenRejectedError,
)
from climkit_pipeline.settings import is_loopback

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

SIMULATOR_HEADER = "X-Climkit-Simulator"
DOCUMENTED_TOKEN_LIFETIME = timedelta(minutes=15)
LONGEST_TOKEN_LIFETIME = timedelta(days=1)
MAX_LOG_INS_PER_CALL = 5
FORBIDDEN = 403
MOST_DOUBLINGS = 64
"""Of a wait: beyond any that is waited, and within what a number holds however often a server was asked."""
UNNOTICED_CLOCK_DIFFERENCE = timedelta(seconds=5)
"""The header knows whole seconds, and an answer is some time on its way."""
OK = "ok"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a call keeps trying; all times in seconds."""

    first_success_deadline: float = 60
    min_attempts: int = 8
    min_duration: float = 300
    rate_limited_duration: float = 1800
    first_wait: float = 0.5
    longest_wait: float = 60
    answer_deadline: float = 180
    """For one whole answer, so that a server that drips bytes cannot hold a run."""
    connect_timeout: float = 15
    read_timeout: float = 60

    def growing_wait(self, attempts: int) -> float:
        """The wait after so many attempts, before it is spread; seconds."""
        return min(self.longest_wait, self.first_wait * 2.0 ** min(attempts - 1, MOST_DOUBLINGS))


@dataclass(frozen=True, slots=True)
class Answer:
    """A usable answer, as received: ``body`` is one whole JSON text, ``payload`` what it says."""

    call: Call
    status: int
    body: bytes = field(repr=False)
    payload: Any = field(repr=False)
    started_at_utc: datetime
    received_at_utc: datetime
    duration_seconds: float
    attempts: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one call, for whoever keeps a ledger."""

    call: Call
    number: int
    started_at_utc: datetime
    duration_seconds: float
    outcome: str = OK
    """``ok``, or the class of what went wrong."""
    status: int | None = None
    """The HTTP status; None if none came."""
    size_bytes: int = 0
    rows: int | None = None
    """Elements of the answer; None unless it is a whole list."""
    sha256: str | None = None
    """Of the answer's bytes; None unless they are a whole answer, and for log-ins: theirs hold a token."""


@dataclass(frozen=True, slots=True)
class _Received:
    """A whole JSON answer to one try."""

    started_at_utc: datetime
    duration_seconds: float
    status: int
    body: bytes
    payload: Any


class Waits(Protocol):
    """What the client needs of a pacer."""

    def wait(self) -> None:
        """Return when the next call may start."""

    def sent(self) -> None:
        """Note that a request is leaving now."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ClimkitClient:
    """A client for one account; safe to share between threads. Close it, or use it as a context manager."""

    def __init__(
        self,
        *,
        base_url: str,
        username: str,
        password: str,
        pacer: Waits,
        policy: RetryPolicy | None = None,
        on_attempt: Callable[[Attempt], None] | None = None,
        on_retry: Callable[[str], None] | None = None,
        now: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.username = username
        self._password = password
        self._pacer = pacer
        self._policy = policy or RetryPolicy()
        self._on_attempt = on_attempt
        self._on_retry = on_retry
        self._now = now
        self._monotonic = monotonic
        self._given_up = threading.Event()
        self._sleep = sleep or self._wait_unless_given_up
        self._jitter = random.Random()  # noqa: S311 - spreads retries, guards nothing
        trusts_environment = not is_loopback(self.base_url)  # a proxy is no way to this machine
        self._http = httpx.Client(
            timeout=httpx.Timeout(self._policy.read_timeout, connect=self._policy.connect_timeout),
            follow_redirects=False,
            trust_env=trusts_environment,
            verify=known_authorities(trusts_environment),
            # One encoding that is known, so that nothing is unpacked into memory beyond what is bounded here.
            headers={"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "climkit-pipeline"},
        )
        self._network = DeadlineNetwork(pacer.sent)
        self._network.serve(self._http)
        self._token: answers.Token | None = None
        self._renew_at = float("-inf")
        self._undoubted: answers.Token | None = None
        """The token that was new when a call was forbidden all the same: as long as it lives, 403 is about calls."""
        self._token_lock = threading.Lock()
        self._first_attempt_at: float | None = None
        self._has_succeeded = False
        self._server_ahead = timedelta(0)
        self.simulator_seed: str | None = None
        """Of the built-in simulator, once it has answered; None for the real API."""

    def __repr__(self) -> str:
        return f"ClimkitClient(base_url={self.base_url!r})"

    def __enter__(self) -> ClimkitClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait_unless_given_up(self, seconds: float) -> None:
        self._given_up.wait(seconds)

    def give_up(self) -> None:
        """End every call's retries now, for whoever has to stop; the client makes no further attempts."""
        self._given_up.set()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --- the nine calls -----------------------------------------------------------------------------------------

    def authenticate(self) -> None:
        """Log in now, with the retries of any call; raises AuthenticationError if the API refuses the credentials."""
        self._retrying(self._renew_token)

    def installations(self) -> list[str]:
        """The ids of every site of the account."""
        return answers.parse_installations(self.perform(calls.all_installations()).payload)

    def installation_infos(self, site_id: str) -> answers.Site:
        """The parameters of a site."""
        return answers.parse_site(self.perform(calls.installation_infos(site_id)).payload, site_id)

    def meters(self, site_id: str) -> list[answers.Meter]:
        """The meters of a site."""
        return answers.parse_meters(self.perform(calls.meter_info(site_id)).payload)

    def sensors(self, site_id: str) -> list[answers.Sensor]:
        """The sensors of a site."""
        return answers.parse_sensors(self.perform(calls.sensors_list(site_id)).payload)

    def site_series(
        self, site_id: str, meter_type: str, period: Period, frequency: Frequency = "15T"
    ) -> list[answers.SiteInterval]:
        """The validated series of a site for one type; the server decides which edge rows belong to ``period``."""
        call = calls.site_data(site_id, meter_type, period, frequency)
        return answers.parse_site_series(self.perform(call).payload, period)

    def meter_series(
        self, site_id: str, meter_id: str, period: Period, frequency: Frequency = "15T"
    ) -> list[answers.MeterInterval]:
        """The validated series of a meter; the server decides which edge rows belong to ``period``."""
        call = calls.meter_data(site_id, meter_id, period, frequency)
        return answers.parse_meter_series(self.perform(call).payload, period)

    def raw_readings(self, site_id: str, meter_id: str, period: Period) -> list[answers.RawReading]:
        """The raw readings of a physical meter; raises RejectedError (400) for a rule meter."""
        call = calls.meter_data_raw(site_id, meter_id, period)
        return answers.parse_raw_readings(self.perform(call).payload, period)

    def sensor_readings(
        self, site_id: str, sensor_id: str, period: Period | None = None
    ) -> list[answers.SensorReading]:
        """The readings of a sensor; without a period, the last ones."""
        call = calls.sensor_data(site_id, sensor_id, period)
        return answers.parse_sensor_readings(self.perform(call).payload, period)

    # --- one call, whatever it takes ----------------------------------------------------------------------------

    def perform(self, call: Call) -> Answer:
        """The usable answer to ``call``; raises an ApiError when no retry can help any more."""
        log_ins = 0
        was_renewed = False

        def attempt(number: int) -> Answer:
            nonlocal log_ins, was_renewed
            token = self._valid_token()
            try:
                return self._send(call, number, token)
            except RejectedError as error:
                if error.status != FORBIDDEN or token is self._undoubted:
                    raise
                if was_renewed:
                    self._undoubted = token
                    raise
                # Some servers say so of a token that has ended; only a new one tells whether it is about the call.
                was_renewed = True
                self._discard(token)
                raise TokenRejectedError(str(error)) from None
            except TokenRejectedError:
                log_ins += 1
                self._discard(token)
                if log_ins > MAX_LOG_INS_PER_CALL:
                    # The log-in itself works, so this is about the call: another one may well be answered.
                    raise RejectedError(f"{call}: refused (401) after {log_ins - 1} new log-ins", status=401) from None
                raise

        return self._retrying(attempt)

    def _retrying(self, attempt: Callable[[int], Result]) -> Result:
        patience = _Patience(self)
        numbers = itertools.count(1)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, ApiError) and error.can_retry),
            stop=patience.is_over,
            wait=patience.next_wait,
            sleep=self._sleep,
            before_sleep=self._tell_retry,
            reraise=True,
        )
        result = retrying(lambda: attempt(next(numbers)))
        self._has_succeeded = True
        return result

    def _tell_retry(self, state: tenacity.RetryCallState) -> None:
        text = f"try {state.attempt_number}: {_error_of(state)}; again in {state.upcoming_sleep:.1f} s"
        logger.info(text)
        if self._on_retry:
            self._on_retry(text)

    def _send(self, call: Call, number: int, token: answers.Token) -> Answer:
        received = self._exchange(call, number, {"Authorization": f"Bearer {token.text}"}, call.body)
        return Answer(
            call=call,
            status=received.status,
            body=received.body,
            payload=received.payload,
            started_at_utc=received.started_at_utc,
            received_at_utc=self._now() + self._server_ahead,
            duration_seconds=received.duration_seconds,
            attempts=number,
            sha256=hashlib.sha256(received.body).hexdigest(),
        )

    def _exchange(self, call: Call, number: int, headers: dict[str, str], body: Mapping[str, Any] | None) -> _Received:
        """The whole JSON text that one try brought, paced; whatever comes of it is told to the ledger."""
        self._pacer.wait()
        started = self._monotonic()
        attempt = Attempt(call, number, self._now(), 0.0, outcome="Interrupted")
        if self._first_attempt_at is None:
            self._first_attempt_at = started
        try:
            response, body_received = self._receive(call, headers, body, started)
            attempt = replace(attempt, status=response.status_code, size_bytes=len(body_received))
            raise_for_status(response, call, self._now())
            payload = payload_of(body_received, call)
            self._note_server(response)
            self._compare_clocks(response, attempt.started_at_utc)
            attempt = replace(
                attempt,
                outcome=OK,
                rows=len(payload) if isinstance(payload, list) else None,
                # The answer to a log-in holds a token: not even its hash is kept.
                sha256=None if call.endpoint == calls.AUTH else hashlib.sha256(body_received).hexdigest(),
            )
            duration = self._monotonic() - started
            return _Received(attempt.started_at_utc, duration, response.status_code, body_received, payload)
        except ApiError as error:
            attempt = replace(attempt, outcome=_kind_of(error))
            raise
        except ConfigurationError:
            attempt = replace(attempt, outcome="WrongClock")
            raise
        finally:
            if self._on_attempt:
                self._on_attempt(replace(attempt, duration_seconds=self._monotonic() - started))

    def _receive(
        self, call: Call, headers: dict[str, str], body: Mapping[str, Any] | None, started: float
    ) -> tuple[httpx.Response, bytes]:
        """The response and all of its bytes, whatever its status; raises ApiUnavailableError if they do not come."""
        was_reached = True
        try:
            request = self._http.build_request(
                call.method, self.base_url + call.path, params=call.params or None, json=body, headers=headers
            )
            with self._network.until(lambda: self._rest_of_answer(call, started)):
                response = self._http.send(request, stream=True)
                try:
                    return response, read_body(response, call)
                finally:
                    response.close()
        except httpx.TransportError as error:
            kind = type(error).__name__
            was_reached = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            failure = f"{self._host} does not answer ({kind})"
        except httpx.HTTPError as error:
            kind = type(error).__name__
            failure = f"unreadable answer ({kind})"
        # Outside the handlers, so that nothing is chained: the original's request holds the token or the password.
        raise ApiUnavailableError(f"{call}: {failure}", was_reached=was_reached, kind=kind)

    @property
    def _host(self) -> str:
        return urlsplit(self.base_url).netloc

    def _rest_of_answer(self, call: Call, started: float) -> float:
        rest = started + self._policy.answer_deadline - self._monotonic()
        if rest <= 0:
            reason = f"the answer took over {self._policy.answer_deadline:.0f} s"
            raise ApiUnavailableError(f"{call}: {reason}", kind="AnswerDeadline")
        return rest

    def _compare_clocks(self, response: httpx.Response, sent_at: datetime) -> None:
        """Go by the server's clock where it is off by seconds or minutes; refuse to go on where it is by more.

        Answers are kept in the order of their arrival: what comes "next year" would hide all that comes until then.
        """
        stated = instant_of(response.headers.get("Date"))
        if stated is None or "Age" in response.headers:  # from some store on the way, so not of now
            return
        now = self._now()
        ahead = stated - now if stated > now else min(stated - sent_at, timedelta(0))
        if abs(ahead) > LARGEST_CLOCK_DIFFERENCE:
            raise ConfigurationError(
                f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, that of {self._host} {stated:%Y-%m-%d %H:%M}: "
                "nothing is fetched, since answers are kept in the order of their arrival; set the clock right"
            )
        self._server_ahead = ahead if abs(ahead) > UNNOTICED_CLOCK_DIFFERENCE else timedelta(0)

    def _note_server(self, response: httpx.Response) -> None:
        if is_loopback(self.base_url):
            self.simulator_seed = response.headers.get(SIMULATOR_HEADER)

    # --- the token ----------------------------------------------------------------------------------------------

    def _valid_token(self) -> answers.Token:
        with self._token_lock:
            if self._token is None or self._monotonic() >= self._renew_at:
                self._token = self._log_in()
            return self._token

    def _discard(self, token: answers.Token) -> None:
        with self._token_lock:
            if self._token is token:  # another thread may have renewed it already
                self._token = None

    def _renew_token(self, _: int) -> None:
        with self._token_lock:
            self._token = self._log_in()

    def _log_in(self) -> answers.Token:
        call = Call(calls.AUTH, "POST", "/auth")
        # Beside the call, not in it: calls are shown, logged and kept.
        credentials = {"username": self.username, "password": self._password}
        sent_at = self._monotonic()
        try:
            received = self._exchange(call, 1, {}, credentials)
        except (TokenRejectedError, NotFoundError, RejectedError) as error:
            status = getattr(error, "status", None)
            if isinstance(error, NotFoundError) or status in {301, 302, 303, 307, 308, 405}:
                raise AuthenticationError(
                    f"{self.base_url} is no address of the API (its log-in answered "
                    f"{404 if status is None else status}): check CLIMKIT_BASE_URL"
                ) from error
            raise AuthenticationError(
                f"{self._host} refused the log-in of user {self.username!r}: "
                "check CLIMKIT_USERNAME and CLIMKIT_PASSWORD"
            ) from error
        token = answers.parse_token(received.payload)
        # The lifetime counts from the request, by the server's clock where it states one: the two need not agree.
        lifetime = token.valid_until_utc - (self._now() + self._server_ahead)
        if not timedelta(0) < lifetime <= LONGEST_TOKEN_LIFETIME:
            lifetime = DOCUMENTED_TOKEN_LIFETIME
        margin = min(30.0, lifetime.total_seconds() / 4)
        self._renew_at = sent_at + lifetime.total_seconds() - margin
        return token


class _Patience:
    """Until when one call keeps trying, and how long it waits between tries."""

    def __init__(self, client: ClimkitClient) -> None:
        self._client = client
        self._started = client._monotonic()  # noqa: SLF001 - one unit with the client
        self._unavailable = 0

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        client, policy = self._client, self._client._policy  # noqa: SLF001
        if client._given_up.is_set():  # noqa: SLF001
            return True
        elapsed = client._monotonic() - self._started  # noqa: SLF001
        if not client._has_succeeded:  # noqa: SLF001
            return self._rest_before_first_success() <= 0
        if isinstance(_error_of(state), RateLimitedError):
            return elapsed >= policy.rate_limited_duration
        self._unavailable += 1
        return self._unavailable >= policy.min_attempts and elapsed >= policy.min_duration

    def next_wait(self, state: tenacity.RetryCallState) -> float:
        client, policy = self._client, self._client._policy  # noqa: SLF001
        error = _error_of(state)
        wait = policy.growing_wait(state.attempt_number)
        wait *= 0.5 + client._jitter.random()  # noqa: SLF001
        named = getattr(error, "retry_after_seconds", None)
        if named is not None and named > 0:  # 0, or a date that this machine's clock has passed, is no wait at all
            wait = min(named, policy.min_duration)
        if not client._has_succeeded:  # noqa: SLF001
            wait = min(wait, max(self._rest_before_first_success(), 0.0))
        return wait

    def _rest_before_first_success(self) -> float:
        client, policy = self._client, self._client._policy  # noqa: SLF001
        first = client._first_attempt_at if client._first_attempt_at is not None else self._started  # noqa: SLF001
        return first + policy.first_success_deadline - client._monotonic()  # noqa: SLF001


def _error_of(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _kind_of(error: ApiError) -> str:
    """What the ledger calls an error: ``RateLimited``, ``ReadTimeout``, ``NotJson``."""
    return getattr(error, "kind", None) or type(error).__name__.removesuffix("Error")

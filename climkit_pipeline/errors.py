"""One tree of errors, one class per decision that a caller can take.

::

    ClimkitError                     exit status, and: can a retry help?
    ├── ConfigurationError           no    2  a setting, an argument, the data directory: the user mends it
    ├── ApiError
    │   ├── ApiUnavailableError      yes   1  no answer, 408, 5xx, or an answer that broke on the way
    │   ├── RateLimitedError         yes   1  429; carries the wait that the server asked for
    │   ├── TokenRejectedError       yes   1  401 on a data call: log in again, then repeat
    │   ├── AuthenticationError      no    2  the log-in itself was refused
    │   ├── NotFoundError            no    1  404
    │   ├── RejectedError            no    1  any other 4xx, and redirects; 400 and 413 may mean "window too long"
    │   └── UnexpectedPayloadError   no    1  a whole answer with a shape that nobody documented
    ├── LakeError                    no    1  Parquet files, landing, disk
    ├── RunError                     no    1  a Dagster run failed for a reason of its own
    ├── AlertError                   yes   1  a message about an alarm reached nobody
    └── WarehouseError               no    1  models, publishing, queries
        └── QueryError               no    2  the user's SQL

Never put a password, a token or an answer's body into a message: messages reach logs and run pages.
"""

from __future__ import annotations


class ClimkitError(Exception):
    """Any failure that the pipeline foresees; its text is one line for a person."""

    can_retry = False
    exit_status = 1


class ConfigurationError(ClimkitError):
    """A setting, an argument or the data directory is wrong; nothing was started."""

    exit_status = 2


class ApiError(ClimkitError):
    """A call to the API did not give a usable answer."""


class ApiUnavailableError(ApiError):
    """No whole answer arrived: connection, time-out, 408, 5xx, truncated JSON, wrong content type."""

    can_retry = True

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        was_reached: bool = True,
        kind: str | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.was_reached = was_reached
        """False if not even a connection came about: then it is not about this call."""
        self.kind = kind
        """One word for the ledger of calls, where the class says too little."""


class RateLimitedError(ApiError):
    """The API answered 429; ``retry_after_seconds`` is the wait it named, if it named one."""

    can_retry = True

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TokenRejectedError(ApiError):
    """A data call answered 401: the token ended early; a new log-in may help."""

    can_retry = True


class AuthenticationError(ApiError):
    """The log-in was refused; no retry makes wrong credentials right."""

    exit_status = 2


class NotFoundError(ApiError):
    """The API knows no such site, meter or sensor (404)."""


class RejectedError(ApiError):
    """The API refused the call as it is (400, 403, 413, 422, a redirect); ``status`` tells which."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class UnexpectedPayloadError(ApiError):
    """A whole, well-formed answer whose shape is none that is documented or was ever seen."""


class LakeError(ClimkitError):
    """A file of the lake or of landing cannot be read or written."""


class RunError(ClimkitError):
    """A Dagster run failed although what it ran did not."""


class AlertError(ClimkitError):
    """A message about an alarm reached nobody; the next try may."""

    can_retry = True


class WarehouseError(ClimkitError):
    """The models, the publishing or the published warehouse failed."""


class QueryError(WarehouseError):
    """The user's SQL is wrong."""

    exit_status = 2

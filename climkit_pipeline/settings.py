"""Every setting of the pipeline: environment variables, or a ``.env`` file in the working directory.

Here: names, defaults, what is accepted and the one line that says so. Not here: what a setting does.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from climkit_pipeline.errors import ConfigurationError

PUBLIC_BASE_URL = "https://api.climkit.io/api/v1"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
PREFIX = "CLIMKIT_"

SECRETS = ("password", "alert_urls")
"""Settings whose values are never shown."""

OWNER = r"team:[^\s,]+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}"
"""What Dagster takes for an owner: an e-mail address or a team."""

SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"

IdList = Annotated[tuple[str, ...], NoDecode]


def is_loopback(base_url: str) -> bool:
    """Whether the base URL points at this machine."""
    return urlsplit(base_url).hostname in LOOPBACK_HOSTS


def split_urls(value: SecretStr) -> tuple[str, ...]:
    """The addresses in a setting; a comma or a space divides them only before a scheme, an address may hold either."""
    return tuple(filter(None, re.split(rf"[,\s]+(?={SCHEME})", value.get_secret_value().strip(" ,\t\r\n"))))


class Settings(BaseSettings):
    """The settings of one process; each ``description`` says what is accepted."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    base_url: str = Field(PUBLIC_BASE_URL, description="an https URL (http only for this machine)")
    username: str = Field("", description="the API user's name, as the provider gave it")
    password: SecretStr = Field(SecretStr(""), description="the API user's password")
    data_dir: Path = Field(Path("data"), description="a directory that can be written", validate_default=True)
    timezone: str = Field("Europe/Zurich", description="an IANA time zone such as Europe/Zurich")
    start_date: date = Field(
        date(2024, 1, 1), ge=date(2000, 1, 1), description="a date from 2000 on, such as 2024-01-01"
    )
    requests_per_second: float = Field(1.0, ge=0.001, le=1000, description="a number above 0: from 0.001 to 1000")
    max_in_flight: int = Field(1, ge=1, le=32, description="a whole number from 1 to 32")
    lookback_days: int = Field(14, ge=1, le=366, description="a whole number from 1 to 366")
    window_days: int = Field(31, ge=1, le=366, description="a whole number from 1 to 366")
    site_answers: Literal["auto", "always", "never"] = Field("auto", description="auto, always or never")
    raw_data: Literal["sparing", "all"] = Field("sparing", description="sparing or all")
    close_after_days: int = Field(10, ge=0, le=366, description="a whole number from 0 to 366")
    close_automatically: bool = Field(False, description="true or false")
    sites: IdList = Field((), description="site ids separated by commas, or nothing for all")
    sites_exclude: IdList = Field((), description="site ids separated by commas, or nothing")
    publish_months: int | None = Field(None, ge=1, description="a whole number of months, or nothing for all")
    owners: IdList = Field((), description="e-mail addresses and team:NAME, separated by commas, or nothing")
    alert_urls: SecretStr = Field(
        SecretStr(""), description="addresses such as mailto://… or json://…, separated by spaces, or nothing"
    )
    alert_after_hours: int = Field(36, ge=1, le=8784, description="a whole number from 1 to 8784")
    alert_blocked_days: int = Field(15, ge=0, le=366, description="a whole number from 0 to 366")
    keep_runs_days: int = Field(180, ge=7, le=3660, description="a whole number from 7 to 3660")
    state_dir: Path = Field(
        Path(platformdirs.user_state_dir("climkit")),
        description="a directory that every process of this user can write",
        validate_default=True,
    )

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:  # its text may repeat credentials
            raise ValueError("not a web address") from None
        if "@" in parts.netloc:
            raise ValueError("not a web address without credentials")
        if not is_address or parts.query or parts.fragment or not value.isprintable() or " " in value:
            raise ValueError("not a web address")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
            raise ValueError("http would send the password in the clear")
        # One spelling per address: the pacer and the data directory's owner go by it.
        port = f":{parts.port}" if parts.port and parts.port != {"http": 80, "https": 443}[parts.scheme] else ""
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        return f"{parts.scheme}://{host}{port}{parts.path}".rstrip("/")

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, OSError, ValueError) as error:  # a name unknown, a folder, a path
            raise ValueError("no such time zone") from error
        return value

    @field_validator("data_dir", "state_dir", mode="before")
    @classmethod
    def _refuse_nothing(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the environment holds
        if isinstance(value, str) and not value.strip():
            raise ValueError("nothing would mean the working directory itself")
        return value

    @field_validator("data_dir", "state_dir")
    @classmethod
    def _resolve(cls, value: Path) -> Path:
        try:
            return value.expanduser().resolve()
        except RuntimeError as error:  # ~someone who does not exist, links in a circle
            raise ValueError("no such directory can be") from error

    @field_validator("owners", mode="before")
    @classmethod
    def _check_owners(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the environment holds
        owners = cls._split(value)
        for owner in owners:
            if not re.fullmatch(OWNER, owner):
                raise ValueError(f"{owner!r} is neither")
        return owners

    @field_validator("alert_urls")
    @classmethod
    def _check_alert_urls(cls, value: SecretStr) -> SecretStr:
        if not all(re.match(SCHEME, url) for url in split_urls(value)):
            raise ValueError("one has no scheme")  # never which: the rest of it may be a token
        return value

    @field_validator("username", "password", "alert_urls", mode="before")
    @classmethod
    def _refuse_bytes(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the environment holds
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("not UTF-8 text")
        return value

    @field_validator("sites", "sites_exclude", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the environment holds
        return tuple(filter(None, re.split(r"[,\s]+", value))) if isinstance(value, str) else value or ()

    @field_validator("publish_months", mode="before")
    @classmethod
    def _nothing_means_all(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the environment holds
        return None if value == "" else value

    @property
    def zone(self) -> ZoneInfo:
        """The zone that decides when a daily partition comes into being."""
        return ZoneInfo(self.timezone)

    def wants_site(self, site_id: str) -> bool:
        """Whether the settings include this site."""
        return (not self.sites or site_id in self.sites) and site_id not in self.sites_exclude

    def as_environment(self) -> dict[str, str]:
        """Every setting as the variable that would set it, secrets included: for a process of one's own."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        values |= {name: values[name].get_secret_value() for name in SECRETS}
        values |= {name: ",".join(values[name]) for name in ("sites", "sites_exclude", "owners")}
        return {f"{PREFIX}{name.upper()}": "" if value is None else str(value) for name, value in values.items()}

    @property
    def alert_addresses(self) -> tuple[str, ...]:
        """Where alarms are sent to, each with whatever secret it holds; none: alarms are off."""
        return split_urls(self.alert_urls)

    def require_credentials(self) -> None:
        """Raise ConfigurationError unless user name and password are there."""
        missing = [
            f"{PREFIX}{name}"
            for name, given in (("USERNAME", self.username), ("PASSWORD", self.password.get_secret_value()))
            if not given
        ]
        if missing:
            raise ConfigurationError(f"{' and '.join(missing)} must be set to call the API (environment or .env)")


def load_settings(**overrides: Any) -> Settings:  # noqa: ANN401 - one keyword per setting
    """The settings of the environment, with ``overrides`` (by field name) on top.

    Raises ConfigurationError with one line that names the variable, the value where it is no secret, and what is
    accepted.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        explanation = _explain(error)
    except (OSError, UnicodeDecodeError) as error:
        explanation = f".env cannot be read ({type(error).__name__}); accepted: a file of UTF-8 text"
    # Outside the handlers: the original error would repeat a secret value.
    raise ConfigurationError(explanation)


def unknown_settings(environment: Iterable[str]) -> list[str]:
    """One line per variable that looks like a setting and is none."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    guesses = {name: difflib.get_close_matches(name, known, n=1) for name in unknown}
    return [
        f"{name} is no setting" + (f"; did you mean {guess[0]}?" if guess else "") for name, guess in guesses.items()
    ]


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    field = Settings.model_fields[name]
    is_secret = name in SECRETS or (name == "base_url" and "@" in str(first["input"]))
    shown = "" if is_secret else f" is {str(first['input'])!r}"
    reason = f" ({first['msg'].removeprefix('Value error, ')})" if first["type"] == "value_error" else ""
    return f"{PREFIX}{name.upper()}{shown}{reason}; accepted: {field.description}"

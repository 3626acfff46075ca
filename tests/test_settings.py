"""Every setting: what it takes, the one line when it is wrong, and the table in docs/settings.md."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.settings import PREFIX, PUBLIC_BASE_URL, SECRETS, Settings, is_loopback, load_settings

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "settings.md"
SECRET = "hunter2-nobody-may-see"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch, tmp_path):
    """No variable of ours, no ``.env`` of the developer."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def line_for(monkeypatch, name: str, value: str) -> str:
    """The line that a wrong value earns."""
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigurationError) as raised:
        load_settings()
    assert raised.value.exit_status == 2
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None, "the original error repeats values, secret ones too"
    return str(raised.value)


def test_the_defaults_are_the_contracts(tmp_path):
    settings = load_settings()
    assert settings.base_url == PUBLIC_BASE_URL == "https://api.climkit.io/api/v1"
    assert (settings.username, settings.password.get_secret_value()) == ("", "")
    assert settings.data_dir == tmp_path / "data"
    assert settings.timezone == "Europe/Zurich"
    assert settings.zone == ZoneInfo("Europe/Zurich")
    assert settings.start_date == date(2024, 1, 1)
    assert (settings.requests_per_second, settings.max_in_flight) == (1, 1)
    assert (settings.lookback_days, settings.window_days, settings.close_after_days) == (14, 31, 10)
    assert (settings.sites, settings.sites_exclude, settings.publish_months) == ((), (), None)


WRONG = {
    "BASE_URL": [
        "api.climkit.io",
        "ftp://api.climkit.io",
        "https://",
        "",
        "http://api.climkit.io/api/v1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://192.168.1.4",
        "https://exa mple.com",
        "https://example.com:99999",
        "https://example.com:port",
        "https://[::1",
        "https://example.com/api?version=1",
        "https://example.com/api#top",
        "https://example.com\n/api",
    ],
    "USERNAME": ["a\udcff"],
    "PASSWORD": [f"{SECRET}\udcff"],
    "DATA_DIR": ["", "  ", "~nobody-of-that-name/data"],
    "STATE_DIR": ["", "~nobody-of-that-name/state"],
    "TIMEZONE": ["", "Europe", "Europe/Zürich", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "CEST+2"],
    "START_DATE": ["", "0", "2024", "2024-13-01", "01.02.2024", "0001-01-01", "yesterday"],
    "REQUESTS_PER_SECOND": ["", "0", "-1", "0.0", "1001", "nan", "inf", "-inf", "1,5", "fast"],
    "MAX_IN_FLIGHT": ["", "0", "-1", "33", "1.5", "two"],
    "LOOKBACK_DAYS": ["", "0", "-1", "367", "1.5"],
    "WINDOW_DAYS": ["", "0", "-1", "367", "1.5"],
    "SITE_ANSWERS": ["", "yes", "Auto", "1"],
    "RAW_DATA": ["", "some", "All", "1"],
    "CLOSE_AFTER_DAYS": ["", "-1", "367", "1.5"],
    "CLOSE_AUTOMATICALLY": ["", "maybe", "2"],
    "PUBLISH_MONTHS": ["0", "-1", "all", "1.5"],
    "OWNERS": ["anna", "team:", "anna@example", "team:a, ; b@example.ch"],
    "ALERT_URLS": [SECRET, f"example.org/{SECRET}", f"{SECRET}\udcff", f"//{SECRET}"],
    "ALERT_AFTER_HOURS": ["", "0", "-1", "1.5", "8785"],
    "ALERT_BLOCKED_DAYS": ["", "-1", "1.5", "367"],
    "KEEP_RUNS_DAYS": ["", "6", "-1", "3661", "1.5"],
}
ANYTHING_GOES = {"SITES", "SITES_EXCLUDE"}
"""Ids are the provider's: only the listing tells which exist."""


@pytest.mark.parametrize(
    ("name", "value"),
    [pytest.param(name, value, id=f"{name}={value!a}") for name, values in WRONG.items() for value in values],
)
def test_a_wrong_value_earns_one_line(monkeypatch, name, value):
    line = line_for(monkeypatch, name, value)
    assert line.startswith(PREFIX + name)
    assert "\n" not in line
    assert line.endswith(f"; accepted: {Settings.model_fields[name.lower()].description}")
    assert SECRET not in line
    if name.lower() not in SECRETS:
        assert repr(value) in line


def test_a_wrong_value_is_tested_for_every_setting():
    assert {*WRONG, *ANYTHING_GOES} == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("value", [f"https://anna:{SECRET}@example.com", f"https://anna:{SECRET}@exam℀ple.com"])
def test_credentials_in_the_base_url_are_refused_and_never_shown(monkeypatch, value):
    """The value was repeated, password and all, by the line that refused it."""
    line = line_for(monkeypatch, "BASE_URL", value)
    assert line.startswith("CLIMKIT_BASE_URL ")
    assert SECRET not in line
    assert "anna" not in line


@pytest.mark.parametrize(
    ("value", "kept", "local"),
    [
        ("http://127.0.0.1:8000/api/v1/", "http://127.0.0.1:8000/api/v1", True),
        ("http://localhost:8000", "http://localhost:8000", True),
        ("http://[::1]:8000/x", "http://[::1]:8000/x", True),
        ("https://localhost", "https://localhost", True),
        ("https://api.example.com/v2//", "https://api.example.com/v2", False),
        ("HTTPS://API.example.com", "https://api.example.com", False),
    ],
)
def test_http_is_for_this_machine_and_https_for_any(monkeypatch, value, kept, local):
    monkeypatch.setenv("CLIMKIT_BASE_URL", value)
    settings = load_settings()
    assert settings.base_url == kept
    assert is_loopback(settings.base_url) is local


def test_http_elsewhere_would_send_the_password_in_the_clear(monkeypatch):
    assert "in the clear" in line_for(monkeypatch, "BASE_URL", "http://api.climkit.io/api/v1")


def test_a_dotenv_file_is_read_and_the_environment_wins(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text(
        "# ours\nCLIMKIT_USERNAME=anna\nCLIMKIT_PASSWORD='p # w'\nCLIMKIT_SITES=a, b\nOTHER=1\nCLIMKIT_UNHEARD_OF=1\n"
    )
    monkeypatch.setenv("CLIMKIT_USERNAME", "bert")
    settings = load_settings()
    assert settings.username == "bert"
    assert settings.password.get_secret_value() == "p # w"
    assert settings.sites == ("a", "b")


def test_a_wrong_value_in_a_dotenv_file_earns_the_same_line(tmp_path):
    (tmp_path / ".env").write_text("CLIMKIT_WINDOW_DAYS=many\n")
    with pytest.raises(ConfigurationError, match=r"^CLIMKIT_WINDOW_DAYS is 'many'; accepted: "):
        load_settings()


def test_a_dotenv_file_that_is_no_text_earns_one_line(tmp_path):
    """A file saved as Latin-1 ended in a traceback whose error object held the password."""
    (tmp_path / ".env").write_bytes(f"CLIMKIT_PASSWORD={SECRET}é\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"^\.env cannot be read") as raised:
        load_settings()
    assert SECRET not in str(raised.value)
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "ids"),
    [("", ()), ("  ", ()), ("a", ("a",)), ("a,b", ("a", "b")), (" a ,\tb\n c,", ("a", "b", "c")), (",", ())],
)
def test_ids_are_separated_by_commas_or_spaces(monkeypatch, text, ids):
    """A comma at the end made an empty id, and a site of that name is never listed."""
    monkeypatch.setenv("CLIMKIT_SITES", text)
    monkeypatch.setenv("CLIMKIT_SITES_EXCLUDE", text)
    settings = load_settings()
    assert (settings.sites, settings.sites_exclude) == (ids, ids)


def test_sites_wanted_are_all_or_those_named_less_those_excluded():
    assert load_settings().wants_site("x")
    only = load_settings(sites=("a", "b"), sites_exclude=("b", "c"))
    assert [site for site in "abcd" if only.wants_site(site)] == ["a"]
    all_but = load_settings(sites_exclude=("b",))
    assert [site for site in "abc" if all_but.wants_site(site)] == ["a", "c"]


def test_directories_are_resolved_once(monkeypatch, tmp_path):
    """A run that changes its directory would otherwise write its second half elsewhere."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLIMKIT_DATA_DIR", "here/../there")
    monkeypatch.setenv("CLIMKIT_STATE_DIR", "~/state")
    settings = load_settings()
    assert settings.data_dir == tmp_path / "there"
    assert settings.state_dir == tmp_path / "home" / "state"


@pytest.mark.parametrize(("text", "months"), [("", None), ("1", 1), ("36", 36)])
def test_publish_months_of_nothing_means_all(monkeypatch, text, months):
    monkeypatch.setenv("CLIMKIT_PUBLISH_MONTHS", text)
    assert load_settings().publish_months == months


def test_credentials_that_are_missing_are_named():
    with pytest.raises(ConfigurationError, match="CLIMKIT_USERNAME and CLIMKIT_PASSWORD must be set"):
        load_settings().require_credentials()
    with pytest.raises(ConfigurationError, match=r"^CLIMKIT_PASSWORD must be set"):
        load_settings(username="anna").require_credentials()
    load_settings(username="anna", password=SECRET).require_credentials()


def test_secrets_show_nowhere():
    settings = load_settings(username="anna", password=SECRET, alert_urls=f"json://127.0.0.1/{SECRET}")
    assert SECRET not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("", ()),
        (" \n", ()),
        ("json://a/b", ("json://a/b",)),
        ("mailto://a?to=b@c.ch,d@e.ch, json://h/?x=1 tgram://t/1\n", (
            "mailto://a?to=b@c.ch,d@e.ch", "json://h/?x=1", "tgram://t/1"
        )),
    ],
)  # fmt: skip
def test_addresses_of_alarms_are_divided_before_a_scheme_alone(monkeypatch, text, addresses):
    """A comma divides the recipients inside of one, too."""
    monkeypatch.setenv("CLIMKIT_ALERT_URLS", text)
    assert load_settings().alert_addresses == addresses


def test_a_process_of_ones_own_gets_every_setting_as_it_is(monkeypatch):
    given = load_settings(
        username="anna", password=SECRET, sites=("a", "b"), owners=("team:energy", "anna@example.ch"),
        alert_urls="json://127.0.0.1/x mailto://127.0.0.1", alert_after_hours=5,
    )  # fmt: skip
    for name, value in given.as_environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == given


# --- docs/settings.md ---------------------------------------------------------------------------------------------

WORDS_FOR_NOTHING = {"", "-", "–", "—", "all", "none", "nothing"}
DEPENDS_ON_THE_MACHINE = {"CLIMKIT_STATE_DIR"}


def documented() -> dict[str, str]:
    """Variable and default of each row of the settings table."""
    rows = (line.strip().strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("|"))
    cells = ([cell.strip() for cell in row] for row in rows)
    return {row[0].strip("`"): row[1] for row in cells if len(row) > 1 and re.fullmatch(r"`CLIMKIT_\w+`", row[0])}


def test_readme_links_the_table():
    assert "](docs/settings.md)" in (ROOT / "README.md").read_text()


def test_the_page_lists_every_setting():
    assert set(documented()) == {PREFIX + name.upper() for name in Settings.model_fields}


def test_the_page_states_the_defaults():
    stated = {name: default.strip("`") for name, default in documented().items()}
    for name, field in Settings.model_fields.items():
        variable, default = PREFIX + name.upper(), field.default
        if name in {"username", "sites", "sites_exclude", "publish_months", "owners"} | set(SECRETS):
            assert not (default.get_secret_value() if name in SECRETS else default)
            assert stated[variable].lower() in WORDS_FOR_NOTHING, variable
        elif variable in DEPENDS_ON_THE_MACHINE:
            assert stated[variable], variable
        else:
            assert stated[variable] == (f"{default:g}" if isinstance(default, float) else str(default)), variable


@pytest.mark.parametrize(
    "spelling", ["https://API.climkit.io/api/v1", "https://api.climkit.io:443/api/v1/", "https://api.climkit.io/api/v1"]
)
def test_one_address_has_one_spelling(spelling):
    """The pacer goes by the address: two spellings were two budgets, and twice the allowed rate."""
    assert load_settings(base_url=spelling).base_url == "https://api.climkit.io/api/v1"

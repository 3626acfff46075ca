"""The files of deploy/: what cannot run here is read and checked, so that a change elsewhere does not break it."""

from __future__ import annotations

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from climkit_pipeline.cli.main import main
from climkit_pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
PARTS = ("code", "daemon", "webserver")
SECRETS = {"CLIMKIT_USERNAME", "CLIMKIT_PASSWORD", "DAGSTER_POSTGRES_PASSWORD", "POSTGRES_PASSWORD"}
SETTINGS = {f"CLIMKIT_{name.upper()}" for name in Settings.model_fields}


def parsed_options(arguments: list[str]) -> dict[str, Any]:
    """What ``climkit`` makes of a command line; fails on an option that does not exist."""
    name, *rest = arguments
    command = main.commands[name]
    with command.make_context(name, rest, resilient_parsing=False) as context:
        return dict(context.params)


# --- Dockerfile


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "Dockerfile").read_text()
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [(line.split()[0].upper(), line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    return found[max(number for number, (name, _) in enumerate(found) if name == "FROM") :]


def test_the_image_is_built_in_stages_and_holds_no_build():
    assert [name for name, _ in instructions()].count("FROM") == 2
    assert not any(name in {"COPY", "ADD"} and value.startswith(". ") for name, value in last_stage())
    assert all(re.search(r":\d", value.split()[0]) for name, value in instructions() if name == "FROM"), "no tag"


def test_the_image_runs_as_nobody_special_with_a_health_check():
    stage = last_stage()
    (user,) = [value for name, value in stage if name == "USER"]
    assert user not in {"root", "0"}
    assert [name for name, _ in stage].index("USER") < [name for name, _ in stage].index("ENTRYPOINT")
    assert [name for name, _ in stage].count("HEALTHCHECK") == 1


def test_no_secret_is_asked_for_when_the_image_is_built():
    for name, value in instructions():
        assert name != "ARG"
        assert not (name == "ENV" and re.search("PASSWORD|SECRET|TOKEN|USERNAME", value))
        assert name != "ADD"
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".env", "**/.env", "data", "deploy/secrets", ".git"} <= set(ignored)


def test_what_the_image_copies_is_there():
    """And what it copies first is enough to read the dependencies."""
    for name, value in instructions():
        if name == "COPY" and "--from" not in value:
            *sources, _ = [part for part in value.split() if not part.startswith("--")]
            assert all((ROOT / source).exists() for source in sources), value
    done = subprocess.run(
        ["python3", DEPLOY / "dependencies.py", ROOT / "pyproject.toml"], capture_output=True, text=True, check=True
    )
    assert {"dagster", "duckdb", "psycopg2-binary"} <= {re.split("[><=]", line)[0] for line in done.stdout.split()}


def test_the_command_of_the_image_is_one():
    (command,) = [value for name, value in last_stage() if name == "CMD"]
    executable, *arguments = yaml.safe_load(command)
    assert executable == "climkit"
    assert parsed_options(arguments)["host"] == "0.0.0.0"  # noqa: S104 - inside the container


# --- the entry point


def run_entrypoint(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [DEPLOY / "entrypoint.sh", "env"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_secrets_come_from_files(tmp_path):
    (tmp_path / "password").write_text("s3cret with $igns\n")
    environment = {"PATH": "/usr/bin:/bin", "CLIMKIT_PASSWORD_FILE": str(tmp_path / "password"), "CLIMKIT_SITES": "a"}
    done = subprocess.run(
        [DEPLOY / "entrypoint.sh", "env"], env=environment, capture_output=True, text=True, check=True
    )
    assert "CLIMKIT_PASSWORD=s3cret with $igns\n" in done.stdout
    assert "CLIMKIT_PASSWORD_FILE" not in done.stdout
    assert done.stderr == ""


def test_a_secret_whose_file_is_missing_stops_the_container(tmp_path):
    environment = {"PATH": "/usr/bin:/bin", "CLIMKIT_PASSWORD_FILE": str(tmp_path / "none")}
    done = subprocess.run(
        [DEPLOY / "entrypoint.sh", "env"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0, done.stdout) == (True, "")


# --- compose


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert isinstance(content, dict)
    return content


def test_each_process_is_a_container_of_its_own(compose):
    assert set(compose["services"]) == {"postgres", *PARTS}
    for part in PARTS:
        executable, *arguments = compose["services"][part]["command"]
        assert (executable, parsed_options(arguments)["only"]) == ("climkit", part)
    for part in ("daemon", "webserver"):
        assert parsed_options(compose["services"][part]["command"][1:])["code_host"] == "code"


def test_every_container_has_a_health_check_a_restart_and_bounded_logs(compose):
    for service in compose["services"].values():
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        assert {"interval", "timeout", "retries"} <= set(service["healthcheck"])
        assert service["restart"] == "unless-stopped"
        assert service["logging"]["options"]["max-size"]


def test_what_a_container_waits_for_has_a_health_check(compose):
    for service in compose["services"].values():
        for name, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert compose["services"][name]["healthcheck"]


def test_volumes_networks_and_secrets_that_are_used_are_declared_and_the_others_are_not(compose):
    services = compose["services"].values()
    assert {mount.split(":")[0] for service in services for mount in service["volumes"]} == set(compose["volumes"])
    assert {name for service in services for name in service["networks"]} == set(compose["networks"])
    assert {name for service in services for name in service["secrets"]} == set(compose["secrets"])
    assert compose["networks"]["inside"] == {"internal": True}


def test_no_secret_stands_in_the_compose_file(compose):
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            assert name not in SECRETS
            if name.endswith("_FILE"):
                assert Path(value).name in service["secrets"]
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())


def test_what_the_compose_file_sets_are_settings(compose):
    for service in compose["services"].values():
        for name in service["environment"]:
            if name.startswith("CLIMKIT_"):
                assert name.removesuffix("_FILE") in SETTINGS
            if name.endswith("_FILE") and name != "POSTGRES_PASSWORD_FILE":
                assert name.removesuffix("_FILE") in (DEPLOY / "entrypoint.sh").read_text()


def test_only_runs_know_the_account(compose):
    known = [name for name, service in compose["services"].items() if "CLIMKIT_PASSWORD_FILE" in service["environment"]]
    assert known == ["code"]


def test_nothing_but_the_ui_can_be_reached_and_that_from_this_machine_alone(compose):
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert list(ports) == ["webserver"]
    assert all(port.startswith("127.0.0.1:") for port in ports["webserver"])
    for part in PARTS:
        service = compose["services"][part]
        assert (service["read_only"], service["cap_drop"], service["init"]) == (True, ["ALL"], True)


def test_postgres_is_told_to_dagster_as_the_instance_reads_it(compose):
    instance = yaml.safe_load((DEPLOY / "dagster.postgres.yaml").read_text())
    database = instance["storage"]["postgres"]["postgres_db"]
    assert database.pop("scheme") == "postgresql+psycopg2"
    given = {name.removesuffix("_FILE") for name in compose["services"]["daemon"]["environment"]}
    assert {value["env"] for value in database.values()} <= given
    assert all(list(value) == ["env"] for value in database.values()), "a secret in a file"


# --- Dagster's settings


def test_either_storage_adds_to_the_common_settings_and_changes_none():
    common = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    for storage in ("sqlite", "postgres"):
        added = yaml.safe_load((DEPLOY / f"dagster.{storage}.yaml").read_text())
        assert not added.keys() & common.keys()
        assert added["compute_logs"]["class"] == "RunOutput"


def test_the_service_and_the_development_server_name_the_location_alike():
    """A schedule that is on belongs to the location's name: another one would have it off."""
    names = [
        next(iter(yaml.safe_load((ROOT / name).read_text())["load_from"][0].values()))["location_name"]
        for name in ("workspace.yaml", "workspace.service.yaml")
    ]
    assert len(set(names)) == 1


# --- systemd


def unit(path: Path) -> dict[str, dict[str, list[str]]]:
    """Sections, keys, and every value, since keys may come twice."""
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(section, {}).setdefault(key, []).append(value)
    return found


def test_each_process_is_a_unit_of_its_own():
    services = {f"climkit-{part}.service" for part in (*PARTS, "backup")}
    assert {path.name for path in UNITS} == {"climkit.target", "climkit-backup.timer", *services}
    for part in PARTS:
        service = unit(DEPLOY / "systemd" / f"climkit-{part}.service")["Service"]
        (command,) = service["ExecStart"]
        executable, *arguments = command.removesuffix(" $UI_OPTIONS").split()
        assert (executable, parsed_options(arguments)["only"]) == ("/opt/climkit/bin/climkit", part)
        assert service["Restart"] == ["on-failure"]
    wanted = unit(DEPLOY / "systemd" / "climkit.target")["Unit"]["Wants"][0].split()
    assert set(wanted) == {f"climkit-{part}.service" for part in PARTS}


def test_the_backup_is_a_command_that_exists():
    (command,) = unit(DEPLOY / "systemd" / "climkit-backup.service")["Service"]["ExecStart"]
    assert parsed_options(command.split()[1:])["keep"] == 30


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_unit_has_its_own_user_no_rights_and_no_secret(path):
    service = unit(path)["Service"]
    assert service["User"] == ["climkit"]
    assert service["CapabilityBoundingSet"] == [""]
    for key, value in (("NoNewPrivileges", "true"), ("ProtectSystem", "strict"), ("PrivateTmp", "true")):
        assert service[key] == [value]
    files = service["EnvironmentFile"]
    assert ("/etc/climkit/account.env" in files) == (path.name == "climkit-code.service")
    set_here = {pair.split("=")[0] for value in service["Environment"] for pair in value.split()}
    assert {name for name in set_here if name.startswith("CLIMKIT_")} <= SETTINGS - SECRETS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path):
    for path in UNITS:
        text = path.read_text().replace("/opt/climkit/bin/climkit", "/bin/true")  # it wants to see the program
        (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / path.name) for path in UNITS)],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )  # fmt: skip
    mine = [line for line in done.stderr.splitlines() if "climkit" in line]
    assert (done.returncode, mine) == (0, [])


# --- the page


def test_the_page_names_files_commands_and_units_that_exist():
    page = (ROOT / "docs" / "operations.md").read_text()
    for name in set(re.findall(r"`(deploy/[\w./-]+)`", page)) - {"deploy/.env", "deploy/secrets/"}:
        assert (ROOT / name).exists() or name.startswith("deploy/secrets/"), name
    for command in set(re.findall(r"climkit ([a-z]+)\b(?= |`)", page)):
        if command in {"compose"}:
            continue
        assert isinstance(main.get_command(click.Context(main), command), click.Command), command
    for name in set(re.findall(r"\b(climkit-\w+\.(?:service|timer))\b", page)):
        assert (DEPLOY / "systemd" / name).exists(), name


def test_every_unit_can_be_read_as_an_ini_file():
    for path in UNITS:
        parser = RawConfigParser(strict=False, allow_no_value=False)
        parser.optionxform = str  # type: ignore[method-assign,assignment]
        parser.read_string(path.read_text())
        assert "Unit" in parser.sections()

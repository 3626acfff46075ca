"""``climkit simulate`` with faults in the data: what it says on the way, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import fields
from datetime import date
from decimal import Decimal
from pathlib import Path

import httpx
from simulator_client import CREDENTIALS, exact

from climkit_pipeline.cli.main import simulate
from climkit_pipeline.simulator import AccountForm, World, parse_data_faults
from climkit_pipeline.simulator.data_faults import CIRCUMSTANCES, KINDS
from climkit_pipeline.simulator.faults import RANDOM_KINDS

COMMAND = [str(Path(sys.executable).with_name("climkit")), "simulate", "--port", "0"]
FAULTS = "gap@0/0/2026-03-02..2026-03-03,missing_sibling@1/8/2026-03-05,vacant@0/9/2026-03"


def test_the_command_says_where_it_put_which_fault(tmp_path: Path) -> None:
    labels_file = tmp_path / "labels.csv"
    with subprocess.Popen(
        [*COMMAND, "--data-faults", FAULTS, "--labels", str(labels_file)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=dict(os.environ),
    ) as process:  # fmt: skip
        for line in process.stdout or ():
            if line.startswith("Ctrl-C"):
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    plain = World(seed=7)
    faults = parse_data_faults(FAULTS, plain.sites, seed=7, month=date(2026, 1, 1))
    labels = World(seed=7, data_faults=faults).labels()
    told = err.splitlines()
    causes = [label for label in labels if label.is_cause]
    assert len(told) == len(causes) == 3
    for line, label in zip(told, causes, strict=True):
        assert line.startswith(f"{label.kind} on meter {label.meter_id} of site {label.site_id}, ")
        assert line.endswith(f": {label.intervals} intervals, {label.readings} readings")
    with labels_file.open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [(row["kind"], row["meter_id"], int(row["intervals"])) for row in written] == [
        (label.kind, label.meter_id, label.intervals) for label in labels
    ]
    assert (written[0]["months"], written[0]["first_utc"]) == ("2026-03", "2026-03-01T23:00:00+00:00")
    assert len(written) > len(causes)


def test_a_fault_that_cannot_be_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    for option, value, complaint in (
        ("--data-faults", "night_production@0/0/2026-03", "--data-faults: night_production makes no sense for Flat"),
        ("--account", "newest_rows=all", "--account: newest_rows needs a number, not 'all'"),
        ("--account", "signed_split=0", "--account: signed_split takes no value"),
        ("--account", "slow", "--account: no form of an account is called 'slow'; there are: refuses_early,"),
        ("--labels", str(tmp_path / "no" / "labels.csv"), "--labels: "),
    ):
        done = subprocess.run(
            [*COMMAND, option, value], capture_output=True, text=True, check=False, timeout=600, cwd=tmp_path
        )
        assert (done.returncode, done.stdout) == (2, ""), json.dumps([done.stdout, done.stderr])
        assert complaint in done.stderr
        assert done.stderr.count("\n") == 1


def test_an_account_of_another_form_is_served_by_the_command(tmp_path: Path) -> None:
    """Forms of the registers are those of the world behind the server: both have to be told."""
    forms = "older_listing,signed_split,coarse_registers"
    with subprocess.Popen(
        [*COMMAND, "--sites", "1", "--meters", "3", "--requests-per-second", "1000", "--account", forms],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=dict(os.environ),
    ) as process:  # fmt: skip
        said = dict(line.strip().split("=", 1) for line in iter(process.stdout.readline, "Ctrl-C stops it.\n")
                    if "=" in line)  # fmt: skip
        with httpx.Client(base_url=said["CLIMKIT_BASE_URL"], trust_env=False, timeout=120) as http:
            token = http.post("/auth", json=CREDENTIALS).json()["access_token"]
            http.headers["Authorization"] = f"Bearer {token}"
            site_id = http.get("/all_installations").json()[0]["id"]
            meters = http.get(f"/meter_info/{site_id}").json()
            days = {"t_s": "2026-03-01T00:00:00", "t_e": "2026-03-03T00:00:00"}
            readings = http.post(f"/meter_data_raw/{site_id}/{meters[0]['id']}", json=days).json()
            rows = http.post(f"/meter_data/{site_id}/{meters[0]['id']}", json=days).json()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=600)
    assert {frozenset(meter) for meter in meters} == {frozenset({"id", "type", "prim_ad", "virtual"})}
    indices = [exact(row["en_im"]) for row in readings]
    assert indices[-1] > indices[0]
    assert {index % Decimal("0.01") for index in indices} == {0}
    assert min(row["self"] for row in rows) < 0


def test_the_help_names_every_kind_of_data_fault() -> None:
    """The list stands in the help as text: a kind added later would be a secret."""
    _, _, kinds = (simulate.help or "").partition("Kinds of data faults:")
    faults, _, rest = kinds.partition("Circumstances, which are no faults:")
    circumstances, _, forms = rest.partition("--account takes")
    assert faults.split() == [kind for kind in KINDS if kind not in CIRCUMSTANCES]
    assert circumstances.split() == [kind for kind in KINDS if kind in CIRCUMSTANCES]
    assert {form.name for form in fields(AccountForm)} <= set(forms.replace("=", " ").split())


def test_the_help_names_every_kind_of_fault_of_the_transport() -> None:
    """A rehearsal that nobody can find is none."""
    assert set(RANDOM_KINDS) <= set(str(simulate.help).split())

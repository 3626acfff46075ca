from __future__ import annotations

import json
from pathlib import Path

import pytest

from climkit_pipeline.errors import ConfigurationError, LakeError
from climkit_pipeline.lake.account import account_identity, check_format, check_writable, claim
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS

URL, USER = "https://api.climkit.example/api/v1", "martine@regie.example"
OWNER = account_identity(URL, USER, None)


def test_claiming_again_changes_nothing(layout):
    """Each start must not give the directory another salt, and with it another owner."""
    claim(layout, OWNER)
    before = layout.account.read_bytes()
    claim(layout, account_identity(f"{URL}/", USER, None))
    assert layout.account.read_bytes() == before


@pytest.mark.parametrize(
    "other",
    [
        account_identity(URL, "someone.else@regie.example", None),
        account_identity("https://test.climkit.example/api/v1", USER, None),
        account_identity(URL, USER, "7"),
    ],
    ids=["user", "address", "simulator"],
)
def test_another_account_is_refused_and_nothing_is_touched(layout, other):
    """Simulated data in a real lake, or two customers in one, can't be taken apart again."""
    claim(layout, OWNER)
    before = {path: path.read_bytes() for path in layout.root.rglob("*") if path.is_file()}
    with pytest.raises(ConfigurationError, match="another account") as caught:
        claim(layout, other)
    assert caught.value.exit_status == 2
    assert {path: path.read_bytes() for path in layout.root.rglob("*") if path.is_file()} == before


def test_the_simulator_is_one_account_per_seed_whatever_its_port(layout):
    """A demo on a free port could not be continued: each start had another address."""
    claim(layout, account_identity("http://127.0.0.1:4001/api/v1", "demo", "7"))
    claim(layout, account_identity("http://127.0.0.1:4002/api/v1", "demo", "7"))
    with pytest.raises(ConfigurationError, match="another account"):
        claim(layout, account_identity("http://127.0.0.1:4001/api/v1", "demo", "8"))


def test_the_file_says_nothing_about_address_or_user(layout):
    """The data directory is backed up and sent around; who the customer is, is not part of it."""
    claim(layout, OWNER)
    text = layout.account.read_text()
    for part in (URL, USER, "climkit.example", "martine", "regie"):
        assert part not in text
    assert set(json.loads(text)) == {"salt", "account"}


def test_two_directories_of_one_account_do_not_look_alike(layout, tmp_path):
    """A hash without salt can be looked up: users' names are guessable."""
    other = type(layout)(tmp_path / "other")
    claim(layout, OWNER)
    claim(other, OWNER)
    assert json.loads(layout.account.read_text())["account"] != json.loads(other.account.read_text())["account"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"salt": "x"}', '{"salt": 1, "account": 2}', "null"])
def test_a_damaged_account_file_is_refused_by_name_and_kept(layout, content):
    """Writing a new one would let any account take over the directory."""
    claim(layout, OWNER)
    layout.account.write_text(content)
    with pytest.raises(ConfigurationError, match=r"account\.json is damaged"):
        claim(layout, OWNER)
    assert layout.account.read_text() == content


def test_an_account_file_that_is_no_text_is_refused(layout):
    """A traceback about a codec tells nobody what to do."""
    claim(layout, OWNER)
    layout.account.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"account\.json is damaged"):
        claim(layout, OWNER)


def test_a_lake_of_another_format_is_refused_by_both_versions(layout):
    """An old program would read a new lake's columns under old meanings."""
    claim(layout, OWNER)
    check_format(layout)
    layout.format.write_text("99\n")
    for step in (lambda: check_format(layout), lambda: claim(layout, OWNER)):
        with pytest.raises(ConfigurationError, match="format 99"):
            step()
    assert layout.format.read_text() == "99\n"


def test_claiming_completes_the_layout(layout):
    """The models read every dataset, whatever the account has."""
    claim(layout, OWNER)
    assert {folder.name for folder in layout.lake.iterdir()} >= set(DATASETS)
    assert layout.format.read_text().strip() == "2"


def test_a_directory_is_checked_without_leaving_anything(layout):
    """A command that only looks must not create the directory it looks for."""
    check_writable(layout)
    assert not layout.root.exists()


def test_a_data_directory_that_is_a_file_is_refused(layout):
    """The user gave the warehouse file for the directory."""
    layout.root.write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        check_writable(layout)


def test_a_directory_that_cannot_be_written_is_refused():
    """Found after an hour of calls, it costs an hour of calls. Here not even root can make a folder."""
    layout = Layout(Path("/proc/self/climkit"))
    with pytest.raises(ConfigurationError, match="cannot be written"):
        check_writable(layout)
    with pytest.raises(LakeError, match="cannot be written"):
        claim(layout, OWNER)

"""Messages over real sockets: what arrives, who refused it, and that no address is ever repeated."""

from __future__ import annotations

import logging
import socket

import pytest
from receivers import http_receiver, mail_receiver

from climkit_pipeline.alerts.sending import check_addresses, send
from climkit_pipeline.errors import AlertError, ConfigurationError

SECRET = "hunter2-nobody-may-see"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_message_arrives_whole_at_a_web_address():
    with http_receiver() as receiver:
        delivery = send([receiver.address], "climkit: a title", "What: ä < b & c\nDo: nothing")
    (message,) = receiver.messages
    assert (message["title"], message["message"]) == ("climkit: a title", "What: ä < b & c\nDo: nothing")
    assert str(delivery) == "accepted by 1 (json)"


def test_a_message_arrives_as_a_mail():
    with mail_receiver() as (port, mails):
        address = f"mailto://127.0.0.1:{port}?from=climkit@example.org&to=anna@example.org&mode=insecure&format=text"
        send([address], "climkit: Zürich is silent", "What: no values\nSince: yesterday")
    (mail,) = mails
    assert mail["Subject"] == "climkit: Zürich is silent"
    assert "anna@example.org" in mail["To"]
    body = mail.get_body()
    assert body is not None
    assert body.get_content().splitlines() == ["What: no values", "Since: yesterday"]


def test_an_address_that_refuses_keeps_nothing_from_the_others():
    with http_receiver() as good, http_receiver() as bad:
        bad.status = 500
        silent = f"json://127.0.0.1:{closed_port()}/"
        delivery = send([bad.address, silent, good.address], "t", "b")
    assert good.titles == ["t"]
    assert delivery.accepted == ["3 (json)"]
    assert delivery.refused == ["1 (json): it answered 500", "2 (json): it cannot be reached, or refuses the log-in"]


def test_a_message_that_reached_nobody_is_an_error_that_repeats_no_address(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    address = f"json://anna:{SECRET}@127.0.0.1:{closed_port()}/{SECRET}?+token={SECRET}"
    with pytest.raises(AlertError) as raised:
        send([address], "t", "b")
    assert raised.value.can_retry
    said = [str(raised.value), caplog.text, *capfd.readouterr()]
    assert all(SECRET not in text for text in said)
    assert "1 (json)" in said[0]


@pytest.mark.parametrize("address", [f"nosuchservice://{SECRET}", f"mailto://{SECRET}", "tgram://"])
def test_an_address_that_no_service_understands_is_named_by_its_place(address, caplog):
    with pytest.raises(ConfigurationError) as raised:
        check_addresses(["json://127.0.0.1:9/", address])
    assert f"address 2 ({address.partition('://')[0]})" in str(raised.value)
    assert SECRET not in str(raised.value) + caplog.text

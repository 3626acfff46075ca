"""Messages to people through Apprise, which knows a hundred services by the scheme of an address.

An address holds its secret (a token, a mailbox's password): no error and no log line repeats one. What Apprise itself
logs is kept back for the same reason; of it, only the status that a server answered is told.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from climkit_pipeline.errors import AlertError, ConfigurationError

if TYPE_CHECKING:
    from apprise import Apprise

APPRISE_LOGGER = "apprise"

PATIENCE_SECONDS = 30
"""For one address; a sensor that waits longer is ended by Dagster."""


@dataclass(frozen=True)
class Delivery:
    """What became of a message."""

    accepted: Sequence[str]
    """The addresses that took it, each by place and scheme, such as ``1 (mailto)``."""
    refused: Sequence[str]
    """The others, with what is known of why."""

    def __str__(self) -> str:
        said = [f"accepted by {', '.join(self.accepted)}"] if self.accepted else []
        said += [f"not by {', '.join(self.refused)}"] if self.refused else []
        return "; ".join(said)


def check_addresses(addresses: Sequence[str]) -> None:
    """Raise ConfigurationError that names the place of an address that no service understands."""
    with _kept_back():
        for place, address in enumerate(addresses, 1):
            _service(place, address)


def send(addresses: Sequence[str], title: str, body: str) -> Delivery:
    """Send one message to every address, whatever becomes of the others.

    Raises AlertError if nobody took it, ConfigurationError for an address that no service understands.
    """
    accepted, refused = [], []
    with _kept_back() as lines:
        services = [(_name(place, address), _service(place, address)) for place, address in enumerate(addresses, 1)]
        for name, service in services:
            lines.clear()
            if service.notify(body=body, title=title, timeout=PATIENCE_SECONDS):
                accepted.append(name)
            else:
                refused.append(f"{name}: {_why(lines)}")
    if not accepted:
        raise AlertError(f"no address of CLIMKIT_ALERT_URLS took the message: {', '.join(refused) or 'there is none'}")
    return Delivery(accepted, refused)


def _service(place: int, address: str) -> Apprise:
    from apprise import Apprise, AppriseAsset, PersistentStoreMode  # noqa: PLC0415 - a third of a second to import

    # In memory: what Apprise would remember on disk is about the account of a service, and of no use here.
    memory = PersistentStoreMode.MEMORY
    service = Apprise(asset=AppriseAsset(app_id="climkit", secure_logging=True, storage_mode=memory, async_mode=False))
    if not service.add(address):
        raise ConfigurationError(
            f"address {_name(place, address)} of CLIMKIT_ALERT_URLS is none that Apprise understands: a scheme it does "
            "not know, or a part that is missing"
        )
    return service


def _name(place: int, address: str) -> str:
    return f"{place} ({address.partition('://')[0]})"


def _why(lines: Sequence[str]) -> str:
    statuses = re.findall(r"error=(\d{3})", " ".join(lines))
    if statuses:
        return f"it answered {statuses[-1]}"
    return "it cannot be reached, or refuses the log-in"


@contextmanager
def _kept_back() -> Iterator[list[str]]:
    """Apprise's log lines in a list, and nowhere else."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger(APPRISE_LOGGER), Keep(logging.WARNING)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield lines
    finally:
        logger.propagate = before
        logger.removeHandler(handler)

"""An ingestion with the client of the account that the settings name.

Here: how both are put together. Not here: what either does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from climkit_pipeline.api.client import ClimkitClient, RetryPolicy
from climkit_pipeline.api.pacer import Pacer, pacer_path
from climkit_pipeline.errors import LakeError
from climkit_pipeline.ingest.ingestion import Ingestion
from climkit_pipeline.ingest.ledger import CallLedger
from climkit_pipeline.ingest.reports import Progress
from climkit_pipeline.lake.account import check_format, check_writable
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import Settings

logger = logging.getLogger(__name__)


def open_client(
    settings: Settings,
    on_retry: Callable[[str], None] | None = None,
    policy: RetryPolicy | None = None,
    ledger: CallLedger | None = None,
) -> ClimkitClient:
    """A client for the account in ``settings``, paced together with every other process of this user."""
    settings.require_credentials()
    path = pacer_path(settings.state_dir, settings.base_url, settings.username)
    return ClimkitClient(
        base_url=settings.base_url,
        username=settings.username,
        password=settings.password.get_secret_value(),
        pacer=Pacer(path, settings.requests_per_second),
        policy=policy,
        on_attempt=ledger.note if ledger else None,
        on_retry=on_retry,
    )


@contextmanager
def open_ingestion(
    settings: Settings, progress: Progress | None = None, policy: RetryPolicy | None = None
) -> Iterator[Ingestion]:
    """An ingestion with a client of its own, closed at the end of the block; checks the data directory first."""
    layout = Layout(settings.data_dir)
    check_writable(layout)
    check_format(layout)
    ledger = CallLedger()
    with open_client(settings, progress.waiting if progress else None, policy, ledger) as client:
        ingestion = Ingestion(settings=settings, client=client, progress=progress, ledger=ledger)
        try:
            yield ingestion
        finally:
            try:
                ingestion.keep_calls()
            except LakeError as error:  # whatever stopped the command matters more than the ledger's last lines
                logger.warning("the ledger of calls is incomplete: %s", error)

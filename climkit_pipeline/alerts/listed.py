"""What the account lists otherwise than before, as messages: each once, since it is not over when it has been told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from climkit_pipeline.alerts.alarms import Alarm

_TAKEN_DOWN = (
    "If it was taken down, say so in meters.csv (docs/your_own_knowledge.md), and its last month can be billed. If "
    "not, ask the provider: nothing of it is asked for any more."
)
_ITS_PAST = "`climkit backfill FROM TO --site {site_id}` asks for its days before today."

TEXTS: Mapping[str, tuple[str, str]] = {
    "site_new": ("a new site", _ITS_PAST),
    "site_vanished": (
        "a site left the account's list",
        "What is known of it stays, and nothing more is asked for. If its contract goes on, ask the provider.",
    ),
    "site_returned": ("a site is listed again", _ITS_PAST),
    "site_changed": ("a site is listed otherwise", "Is the address on its bills still right?"),
    "meter_new": ("a new meter", f"Who pays for it? {_ITS_PAST}"),
    "meter_vanished": ("a meter left its site's list", _TAKEN_DOWN),
    "meter_returned": ("a meter is listed again", _ITS_PAST),
    "meter_changed": (
        "a meter is listed otherwise",
        "A month in which its type or mode changed cannot be added up and is blocked; months before stay as they were. "
        "If its tenant changed, nothing else has to be done.",
    ),
}
"""By the code of a finding: what happened, and what a person does about it."""


def listing_alarm(code: str, site_id: str, subject_id: str, said: str, found_at: datetime) -> Alarm:
    """One finding of ``TEXTS``; ``said`` names the site or meter, and what is otherwise."""
    title, todo = TEXTS[code]
    return Alarm(
        key=f"{code} {site_id} {subject_id} {found_at.isoformat()}",
        title=f"{title}: {said}"[:200],
        what=f"{said} (site {site_id}" + ("" if subject_id == site_id else f", meter {subject_id}") + ")",
        since=found_at,
        todo=todo.format(site_id=site_id),
    )

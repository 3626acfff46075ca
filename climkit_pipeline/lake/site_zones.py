"""The zone in which the days of a site are filed: the one it was listed with first.

Partitions are local days, so a site whose days were filed in two zones would have rows on days that they do not belong
to. What a later listing states is a finding (``ingest.zones``); planning and models both keep to the first.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import polars as pl

from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import SITES


def filed_zones(layout: Layout) -> dict[str, ZoneInfo]:
    """The zone of every site ever listed, by its first snapshot; a zone that this machine does not know is left out.

    The rule is that of the model ``int_site_zones``.
    """
    files = sorted(layout.dataset(SITES.name).glob("day=2*/data.parquet"))
    if not files:
        return {}
    # Only the names of days: the directory's own path may hold what means something in a pattern.
    listed = pl.scan_parquet(files, glob=False, include_file_paths="file").filter(
        pl.col("superseded_at_utc").is_null() & pl.col("timezone").is_not_null()
    )
    first = listed.sort("fetched_at_utc", "file").unique("site_id", keep="first", maintain_order=True)
    zones = {}
    for site_id, name in first.select("site_id", "timezone").collect().iter_rows():
        try:
            zones[site_id] = ZoneInfo(name)
        except (KeyError, OSError, ValueError):  # a name unknown here, a folder, a path
            continue
    return zones

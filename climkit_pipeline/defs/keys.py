"""The keys of assets: ``climkit/<dataset>`` of the lake, ``warehouse/<table>`` of what is published."""

import dagster as dg

LAKE_PREFIX = "climkit"
WAREHOUSE_PREFIX = "warehouse"


def asset_key(dataset: str) -> dg.AssetKey:
    """The asset of a dataset."""
    return dg.AssetKey([LAKE_PREFIX, dataset])


def model_key(name: str) -> dg.AssetKey:
    """The asset of a published table."""
    return dg.AssetKey([WAREHOUSE_PREFIX, name])

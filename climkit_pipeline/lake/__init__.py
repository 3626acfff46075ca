"""The lake: one Parquet file per dataset and local day, with every version of every row, and its coverage."""

"""From the Climkit API to billing-ready monthly tables.

Data moves one way: ``api`` -> ``ingest`` -> ``lake`` (Parquet) -> ``warehouse`` (DuckDB through the SQL models in
``dbt_like_sql/``). ``defs`` tells Dagster when, ``cli`` tells people what happened, ``simulator`` stands in for the
API.
"""

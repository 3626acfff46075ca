"""Dagster: when things run, and what the UI shows. Thin over ``ingest`` and ``warehouse``; no decisions of its own."""

"""Alarms for people who do not look at the UI: what is sent, when, and how. Knows no Dagster."""

"""The Climkit developer API: calls, authentication, pacing, retries, and answers as typed records.

Nothing here knows files, Dagster or what is missing; ``ingest`` decides what to ask.
"""

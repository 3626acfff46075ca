"""From API answers to the lake: what to ask for, what came back, and committing it once.

Flow: ``listings`` -> ``planner`` -> ``fetching`` -> ``landing`` (each answer on disk before the next call) ->
``parsing`` -> ``commit`` (day files and coverage). ``ingestion`` runs it. Dagster and the command line call it;
nothing here knows them.
"""

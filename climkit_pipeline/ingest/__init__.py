"""From API answers to the lake: what to ask for, what came back, and committing it once.

Flow, a site at a time: ``listings`` -> ``planning`` (which days are missing; ``windows`` covers them with the fewest,
``known_empty`` leaves months out) -> ``site_answers`` (one answer for many meters) -> ``fetching`` (``shortfalls``
looks into each answer by ``parsing``: what it lacks is asked again) -> ``landing`` (on disk before it counts) ->
``commit`` (day files and coverage) -> ``finished`` (days told to whoever listens). ``ingestion`` runs it. Dagster and
the command line call it; nothing here knows them.
"""

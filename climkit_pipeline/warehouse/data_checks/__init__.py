"""What a person should know of the data: each check is one question to the tables, its answer a sentence and figures.

Here: the questions by subject, their SQL, and what the answers mean. Not here: Dagster (``defs.data_checks``), pictures
(``warehouse.pictures``), grades and their reasons (the models): what is counted here was judged there.

A check that fails says something of the data, never of the code: it stops nothing. What a person has settled already
(a month that is closed, a failure that was accepted, days off the bill) is no news and fails no check.
"""

from climkit_pipeline.warehouse.data_checks import calls, coverage, freshness, months

DATA_CHECKS = (*coverage.CHECKS, *freshness.CHECKS, *months.CHECKS, *calls.CHECKS)
"""In the order in which they are shown."""

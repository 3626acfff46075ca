"""The dictionary of the published tables, as Markdown that a site generator serves.

It is made of what the models' own files say (descriptions, tests, the tables of checks), so it needs no data, and it
cannot say anything else than the comments in the warehouse. What each page holds: ``PAGES`` by folder of the models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.files import atomic_file
from climkit_pipeline.installation import seed_rows
from climkit_pipeline.warehouse.project import Model, load_project

PAGES: Mapping[str, str] = {
    "analysis": "For people: names, local time, kWh and kW, no lists",
    "bills": "Bills: graded months, closings, corrections",
    "quality": "Quality: which checks failed, where and why",
    "periods": "Periods: days and months, before they are judged",
    "registers": "Registers: what an index tells of a day",
    "days": "Days: sums and counts",
    "series": "Series: intervals and readings, as the provider states them",
    "listing": "Sites, meters, sensors, and what you stated of them",
    "lake": "Where it comes from: calls, coverage, findings",
}
"""Title of a page by folder of the models, in the order in which a newcomer meets them."""

UNITS = (
    ("_kwh", "kWh"), ("_kw", "kW"), ("_m3", "m³"), ("_c", "°C"), ("_minutes", "minutes"), ("minutes", "minutes"),
    ("_rate", "share, 0 to 1"), ("completeness", "share, 0 to 1"), ("_litres_per_hour", "l/h"), ("_utc", "UTC"),
    ("heating_degree_days", "K·d"), ("_hours", "h"), ("hours_measured", "h"),
)  # fmt: skip
"""The unit that the end of a column's name states."""

TRAPS = """\
- **Add up within one role, type and unit only** (`meter_role`, `meter_type`, `unit`): what the grid connection and the
  roof deliver is what the consumers consume, and a `sum_of_meters` holds again what other rows hold.
- **A site's `electricity` already contains its charge points.** A sum over `meter_type` of `site_intervals`,
  `site_days` or `site_balance_monthly` counts them twice; `site_energy_days` and `site_flows` tell them apart.
- **kW is not kWh × 4**: some meters answer by the hour or the day. `meter_flows.power_kw` uses the row's own length.
- **Names repeat** across sites, and inside one. `meter`, `flat` and `site` of the views for people are unique.
- **null is not 0.** A null quantity is not known, a null `solar` has no meaning; a missing interval has no row at all.
- **Small negative values of a site are right** (`self_consumption`; indices count in steps). Sum first, never clip. The
  `solar` of meters was clipped at 0 by the provider, interval by interval, so it adds up to a little more.
- **Do not average rates**: divide the sums.
- **A local hour happens twice in October**, and once not at all in March: order and join by `interval_start_utc`.
- **Only `billable_…` columns go on an invoice**: they are null unless the row is ready.
"""


def write_dictionary(folder: Path) -> list[Path]:
    """Write all pages; their paths. Raises WarehouseError if the folder cannot be written."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in dictionary_pages().items():
            path = folder / name
            with atomic_file(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise WarehouseError(f"{folder} cannot be written: {error.strerror or error}") from error
    return written


def dictionary_pages() -> dict[str, str]:
    """The text of each page by its file name: ``index.md``, one per folder of models, and ``checks.md``."""
    by_folder: dict[str, list[Model]] = {folder: [] for folder in PAGES}
    for model in load_project().models.values():
        if model.is_published:
            by_folder[model.folder].append(model)
    pages = {"index.md": _index(by_folder), "checks.md": _checks()}
    pages |= {f"{folder}.md": _page(PAGES[folder], models) for folder, models in by_folder.items()}
    return {name: f"{text.strip()}\n" for name, text in pages.items()}


def _index(by_folder: Mapping[str, list[Model]]) -> str:
    parts = [
        "# Dictionary\n\nWritten by `climkit docs`, from the comments that the warehouse itself holds. "
        "Begin with the first table: the views for people lie in schema `analysis`, all else in `main`.\n",
        "```\nAPI ─▶ lake ─▶ listing ─▶ series ─▶ days ─▶ registers ─▶ periods ─▶ quality ─▶ bills ─▶ analysis\n```\n",
        f"## Traps\n\n{TRAPS}",
    ]
    for folder, models in by_folder.items():
        rows = "\n".join(
            f"| [`{model.name}`]({folder}.md#{model.name}) | {_grain(model)} | {_cell(_without_grain(model))} |"
            for model in sorted(models, key=lambda model: model.name)
        )
        parts.append(f"## {PAGES[folder]}\n\n| Table | One row per | Says |\n|---|---|---|\n{rows}\n")
    parts.append("## Checks\n\n[What each check says, and what a clerk does about it](checks.md).\n")
    return "\n".join(parts)


def _page(title: str, models: list[Model]) -> str:
    return f"# {title}\n\n" + "\n".join(_table(model) for model in sorted(models, key=lambda model: model.name))


def _table(model: Model) -> str:
    rows = "\n".join(f"| `{name}` | {_unit(name)} | {_cell(text)} |" for name, text in model.columns.items())
    project = load_project()
    way = [model, *(project.models[name] for name in project.inner_models[model.name])]
    refs = sorted({ref for each in way for ref in each.refs if project.models[ref].is_published})
    made_of = f"\n\nMade of {', '.join(f'`{ref}`' for ref in refs)}." if refs else ""
    return f"## {model.name}\n\n{model.description}{made_of}\n\n| Column | Unit | Says |\n|---|---|---|\n{rows}\n"


def _checks() -> str:
    severities = {
        "waits": "Waits: time, another call or a date in `meters.csv` mends it",
        "blocks": "Blocks: a person has to look",
        "warns": "Warns: odd, and billed all the same",
    }
    parts = [
        "# Checks\n\nThe code before a reason's colon is the name of its check. `climkit accept CHECK …` says that a "
        "failure is all right, for the days, or for whole months, or never, as the last column has it.\n"
    ]
    for severity, title in severities.items():
        rows = "\n".join(_check(row) for row in seed_rows("quality_checks") if row["severity"] == severity)
        parts.append(
            f"## {title}\n\n| Check | Why there is one | Tolerance | What a clerk does | Can be accepted for |\n"
            f"|---|---|---|---|---|\n{rows}\n"
        )
    return "\n".join(parts)


def _check(row: Mapping[str, str]) -> str:
    name = row["check_name"]
    tolerance = f"{row['tolerance']} {row['tolerance_unit']}" if row["tolerance"] else "a setting"
    cells = (f'<a id="{name}"></a>`{name}`', row["why"], tolerance, row["what_to_do"], row["accepted_for"])
    return f"| {' | '.join(map(_cell, cells))} |"


def _grain(model: Model) -> str:
    found = re.match(r"Grain ([^.]+)\.", model.description)
    return found[1] if found else ""


def _without_grain(model: Model) -> str:
    return model.description.partition(". ")[2]


def _unit(column: str) -> str:
    return next((unit for ending, unit in UNITS if column.endswith(ending)), "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

"""``--site``: the id of a site, or its name."""

from __future__ import annotations

import click

from climkit_pipeline.errors import ConfigurationError, WarehouseError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import load_settings


class Site(click.ParamType[str]):
    """Gives the id of a site. A name is looked up among the sites that are published; what is unknown stays an id."""

    name = "site"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Raises ConfigurationError if several sites bear the name."""
        del param, ctx
        from climkit_pipeline.warehouse.queries import run_query

        try:
            found = run_query(
                Layout(load_settings().data_dir).warehouse,
                "select site_id from sites where site_name = ? order by site_id = ? desc, site_id",
                [value, value],
            )["site_id"].to_list()
        except WarehouseError:
            return value
        if len(found) > 1:
            raise ConfigurationError(f"{len(found)} sites are called {value!r}; name one by its id: {', '.join(found)}")
        return found[0] if found else value


SITE = Site()
SITE_METAVAR = "ID|NAME"

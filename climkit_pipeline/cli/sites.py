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


def meter_id_of(site_id: str, called: str) -> str:
    """The id of a meter of a site, which may be called by its name; what is unknown stays an id.

    Raises ConfigurationError if several meters of the site bear the name.
    """
    from climkit_pipeline.warehouse.queries import run_query

    try:
        found = run_query(
            Layout(load_settings().data_dir).warehouse,
            "select meter_id from meters where site_id = ? and meter_name = ? order by meter_id = ? desc, meter_id",
            [site_id, called, called],
        )["meter_id"].to_list()
    except WarehouseError:
        return called
    if len(found) > 1:
        raise ConfigurationError(
            f"{len(found)} meters of site {site_id!r} are called {called!r}; name one by its id: {', '.join(found)}"
        )
    return found[0] if found else called

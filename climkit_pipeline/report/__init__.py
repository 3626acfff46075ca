"""The monthly report of a site, as a page of HTML and as PDF; needs the extra ``report``.

``figures`` asks the warehouse, ``pictures`` draws, ``pages`` puts both together in the reader's language, ``html`` and
``pdf`` set the result. Nothing here is fetched from a network: words, fonts and drawing come with the packages.
"""

EXTRA = ("altair", "typst", "vl_convert")
"""What the extra brings, by the names under which it is imported."""

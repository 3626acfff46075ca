"""A report as one page of HTML: no script, no file beside it, nothing fetched; it prints, too."""

from __future__ import annotations

from html import escape

from climkit_pipeline.report.content import Picture, Report, Table
from climkit_pipeline.report.pictures import svg_of

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 "Liberation Sans", Arial, sans-serif; color: #22313f; background: #f3f5f7; margin: 0; }
main { max-width: 760px; margin: 0 auto; padding: 32px 40px 48px; background: #fff; }
h1 { font-size: 26px; margin: 0; }
h2 { font-size: 17px; margin: 36px 0 10px; }
p { margin: 4px 0; color: #5b6b7a; }
svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 600; color: #5b6b7a; border-bottom: 2px solid #c3d0dd; }
th, td { padding: 5px 8px; vertical-align: top; }
td { border-bottom: 1px solid #e6e9ec; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
@media print { body { background: #fff; } main { padding: 0; } section { break-inside: avoid; } }
"""


def as_html(report: Report) -> str:
    """The page."""
    parts = "\n".join(_picture(part) if isinstance(part, Picture) else _table(part) for part in report.parts)
    return (
        f'<!doctype html>\n<html lang="{report.language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(report.title)}</h1>\n<p>{escape(report.subtitle)}</p>\n{parts}\n</main>\n</body>\n</html>\n"
    )


def _picture(picture: Picture) -> str:
    # Whoever cannot see it hears what it is of.
    drawn = svg_of(picture).replace("<svg ", f'<svg role="img" aria-label="{escape(picture.title)}" ', 1)
    return f"<section>\n<h2>{escape(picture.title)}</h2>\n{drawn}\n</section>"


def _table(table: Table) -> str:
    note = f"<p>{escape(table.note)}</p>\n" if table.note else ""
    body = ""
    if table.rows:
        rows = "\n".join(f"<tr>{_cells('td', row, table.numbers_from)}</tr>" for row in table.rows)
        head = _cells("th", table.header, table.numbers_from)
        body = f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>\n'
    return f"<section>\n<h2>{escape(table.title)}</h2>\n{note}{body}</section>"


def _cells(tag: str, texts: object, numbers_from: int) -> str:
    assert isinstance(texts, list | tuple)  # noqa: S101 - rows of a table
    return "".join(
        f"<{tag}{' class=number' if place >= numbers_from else ''}>{escape(text)}</{tag}>"
        for place, text in enumerate(texts)
    )

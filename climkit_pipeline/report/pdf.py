"""A report as PDF, set by Typst: its fonts are those that Typst and vl-convert bring along."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import typst

from climkit_pipeline.report.content import Picture, Report
from climkit_pipeline.report.pictures import pdf_of

TEMPLATE = Path(__file__).with_name("page.typ")


def as_pdf(report: Report) -> bytes:
    """The document."""
    # Typst reads what lies in one folder: the words as JSON, each picture as a page of PDF.
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for part in report.parts:
            if isinstance(part, Picture):
                Path(folder, f"{part.name}.pdf").write_bytes(pdf_of(part))
                parts.append({"title": part.title, "picture": f"{part.name}.pdf"})
            else:
                parts.append(asdict(part))
        content = {"language": report.language, "title": report.title, "subtitle": report.subtitle, "parts": parts}
        Path(folder, "report.json").write_text(json.dumps(content), encoding="utf-8")
        Path(folder, TEMPLATE.name).write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
        document: bytes = typst.compile(
            Path(folder, TEMPLATE.name), root=Path(folder), format="pdf", ignore_system_fonts=True
        )
    return document

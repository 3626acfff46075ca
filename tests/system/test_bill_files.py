"""The bill as a spreadsheet program shows and prints it: LibreOffice opens the workbook and draws its sheets."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from accounts import Account, account_for

from climkit_pipeline.simulator import SimulatorServer, World

OFFICE, PDF_TEXT, PDF_INFO, PDF_PICTURES = "soffice", "pdftotext", "pdfinfo", "pdftoppm"
"""Of Debian's libreoffice-calc and poppler-utils."""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with SimulatorServer(World(seed=7, sites=1, meters=8), requests_per_second=500) as server:
        account = account_for(server, tmp_path_factory.mktemp("bill"))
        (account.data_dir / "config").mkdir(parents=True)
        (account.data_dir / "config" / "occupancies.csv").write_text(
            "site;billing_point;occupant;from;until\n"
            "Avenue du Lac 13;Flat 0.1 left;Müller;;01.10.2026\nAvenue du Lac 13;Flat 0.1 left;Dupont;02.10.2026;\n"
        )
        done = account.climkit("backfill", "2026-10-01", "2026-10-02")
        assert done.status == 0, done.err
        yield account


@pytest.fixture(scope="module")
def pages(account: Account, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The text of each printed page, laid out as it is."""
    folder = tmp_path_factory.mktemp("printed")
    done = account.climkit("export", "bill", "2026-10", "--language", "fr", "--output", str(folder / "bill.xlsx"))
    assert done.status == 0, done.err
    profile = f"-env:UserInstallation=file://{folder / 'profile'}"
    convert = [OFFICE, profile, "--headless", "--convert-to", "pdf", "--outdir", str(folder), str(folder / "bill.xlsx")]
    subprocess.run(convert, check=True, capture_output=True, timeout=300)
    subprocess.run([PDF_PICTURES, "-r", "40", "-png", "bill.pdf", "page"], check=True, cwd=folder)
    printed = subprocess.run([PDF_TEXT, "-layout", "bill.pdf", "-"], check=True, capture_output=True, cwd=folder)
    texts = printed.stdout.decode().split("\f")[:-1]
    assert len(list(folder.glob("page-*.png"))) == len(texts)
    described = subprocess.run([PDF_INFO, "bill.pdf"], check=True, capture_output=True, text=True, cwd=folder)
    size = next(line for line in described.stdout.splitlines() if line.startswith("Page size"))
    width, height = (float(word) for word in size.split() if word.replace(".", "").isdigit())
    assert width > height  # landscape
    return texts


def test_each_sheet_is_one_page_wide_and_has_its_place(pages: list[str]) -> None:
    firsts = [next(line.strip() for line in page.splitlines() if line.strip()) for page in pages]
    assert firsts == [
        "Décompte par occupant",
        "Avenue du Lac 13 · octobre 2026",
        "Détails · octobre 2026",
        "Corrections · octobre 2026",
        "Légende",
    ]


def test_a_line_stands_in_one_row_with_its_days_and_indices_and_no_cell_is_too_narrow(pages: list[str]) -> None:
    assert not [page for page in pages if "###" in page]
    rows = [line.split() for line in pages[1].splitlines() if "Flat 0.1 left" in line]
    assert [(row[3], row[4], row[5]) for row in rows] == [
        ("Müller", "01.10.2026", "01.10.2026"),
        ("Dupont", "02.10.2026", "31.10.2026"),
    ]
    header = next(line for line in pages[1].splitlines() if "Logement" in line)
    assert header.split() == ["Logement", "Occupant", "Du", "Au", "Type", "Total", "Solaire", "Réseau", "Unité",
                              "Index", "ancien", "Index", "nouveau", "État", "Remarque"]  # fmt: skip

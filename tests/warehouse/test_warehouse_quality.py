"""Every fault raises its checks and no other, what only looks like one raises none, and the grade follows from them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from built_warehouse import Built, build_with
from fault_lake import CLOSING, CUT, HOUR, MONTH, OPENING, FaultLake, build_fault_lake, hour

from climkit_pipeline.lake.layout import Layout


@pytest.fixture(scope="module")
def house() -> FaultLake:
    return build_fault_lake()


@pytest.fixture(scope="module")
def faulty(house, tmp_path_factory) -> Built:
    layout = Layout(tmp_path_factory.mktemp("faults"))
    house.lake.write(layout)
    return Built(layout, house.lake, build_with(layout))


EXPECTED = {
    # site: (grade, checks that wait or block, warnings)
    "clean": ("ready", set(), set()),
    "fall": ("provisional", {"replaced"}, set()),
    "jump": ("provisional", {"replaced"}, set()),
    "rollover": ("ready", set(), {"rollover"}),
    "swapped": ("ready", set(), {"swapped_registers"}),
    "exchanged": ("ready", set(), {"swapped_registers"}),
    "glitch": ("ready", set(), {"index_glitch"}),
    "load_curve": ("ready", set(), set()),
    "morning": ("ready", set(), set()),
    "estimated": ("ready_with_estimates", set(), {"estimated"}),
    "wrong_unit": ("blocked", {"wrong_unit", "index_difference"}, set()),
    "created": ("ready", set(), set()),
    "gap": ("blocked", {"missing_intervals"}, set()),
    "changed_clock": ("blocked", {"missing_intervals", "change_day_counts"}, set()),
    "overlap": ("blocked", {"too_many_intervals", "off_grid"}, set()),
    "stuck": ("blocked", {"index_difference"}, {"stuck"}),
    "steady": ("ready", set(), set()),
    "sentinel": ("blocked", {"sentinel", "index_difference"}, set()),
    "spike": ("ready", set(), {"spike"}),
    "negative": ("ready", set(), {"negative"}),
    "null_value": ("blocked", {"null_intervals"}, set()),
    "night": ("ready", set(), {"night_production"}),
    "empty_flat": ("ready", set(), set()),
    "warm": ("ready", set(), set()),
    "zeros": ("blocked", {"zero_run_unread", "index_difference"}, {"zero_run"}),
    "starts": ("provisional", {"starts_inside", "missing_intervals"}, set()),
    "ends": ("provisional", {"ends_inside", "missing_intervals"}, set()),
    "vanished": ("provisional", {"not_fetched", "ends_inside"}, set()),
    "silent": ("blocked", {"no_data", "missing_intervals"}, set()),
    "once": ("provisional", {"not_confirmed"}, set()),
    "unbalanced": ("blocked", {"site_balance"}, {"site_sum"}),
}


@pytest.mark.parametrize("site", EXPECTED)
def test_each_case_raises_its_checks_and_no_other(faulty, site):
    ((grade, reasons, warnings),) = faulty.rows(
        "select grade, reasons, warnings from billing_monthly where site_id = ? and billing_month = ?", [site, MONTH]
    )
    codes = {reason.partition(":")[0] for reason in reasons} - {"estimated"}
    assert (grade, codes, {warning.partition(":")[0] for warning in warnings}) == EXPECTED[site]

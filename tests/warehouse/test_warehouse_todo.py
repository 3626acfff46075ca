"""What there is to do for a month: one entry per thing to mend, causes before consequences, in an order that stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from climkit_pipeline.cli.todo import described
from climkit_pipeline.installation import seed_rows
from climkit_pipeline.warehouse.remedies import Failure
from climkit_pipeline.warehouse.todo import HeldLine, Todo, causes_of, in_order

FIRST, LAST = date(2026, 10, 1), date(2026, 10, 31)
CHECKS = {row["check_name"]: row for row in seed_rows("quality_checks")}
METERS = {("s", f"m{number}"): f"Flat {number}" for number in range(10)} | {("t", "m"): "Shop", ("t", "n"): "Kiosk"}


def failure(check: str, meter: str | None, sentence: str = "", *, site: str = "s", first=FIRST, last=LAST) -> Failure:
    known = CHECKS[check]
    spreads = known["spreads_to"] != "nothing" or known["applies_to"] == "site"
    waits_last = known["waits_last"] == "true"
    position, accepted_for = int(known["position"]), known["accepted_for"]
    return Failure(
        site, meter, check, sentence, position, spreads, waits_last, accepted_for, known["mended_by"], first, last
    )


def line(meter: str, *codes: str, site: str = "s", total: str = "10") -> HeldLine:
    return HeldLine(site, meter, "electricity", "kWh", Decimal(total), frozenset(codes))


def unsound(names: str) -> str:
    return f"worked out of meters whose values are in doubt ({names}): mend or accept those first"


def todo_of(failures: list[Failure], lines: list[HeldLine]) -> Todo:
    return Todo(in_order(causes_of(failures, lines, METERS), lines), lines, {"s": "Rue 1", "t": "Rue 2"}, METERS)


DAY = {"first": date(2026, 10, 8), "last": date(2026, 10, 8)}
# Five faults, ten lines: two meters of a site spoil the split of its six others, a gap of both meters of another
# site, a meter that is not known, and one that is dated by nobody.
FAILURES = [
    failure("replaced", "m0", "the register went from 9 to 1 kWh; date the replacement", **DAY),
    failure("stuck_unread", "m1", "the same value 99 times in a row", **DAY),
    *(failure("unsound_sibling", f"m{number}", unsound("Flat 0, Flat 1")) for number in range(2, 8)),
    failure("missing_intervals", "m", "4 intervals that were asked for did not come", site="t", **DAY),
    failure("missing_intervals", "n", "8 intervals that were asked for did not come", site="t", **DAY),
    failure(
        "missing_sibling", "n", "another meter of the site lacks 4 intervals, so the split is wrong (Shop)", site="t"
    ),
    failure("unknown_role", "m8", "whether the meter is a consumer is not known"),
    failure("starts_inside", "m9", CHECKS["starts_inside"]["sentence"].replace("{detail}", "2026-10-12")),
]
LINES = [
    line("m0", "replaced", total="50"),
    line("m1", "stuck_unread"),
    *(line(f"m{number}", "unsound_sibling") for number in range(2, 6)),
    line("m", "missing_intervals", site="t", total="7"),
    line("n", "missing_intervals", "missing_sibling", site="t"),
    line("m8", "unknown_role", total="30"),
    line("m9", "starts_inside", total="20"),
]


def test_five_faults_that_hold_up_ten_lines_are_five_entries_what_frees_most_first():
    todo = todo_of(FAILURES, LINES)
    assert len(LINES) == 10
    assert [(entry.site_id, entry.meter_ids, len(entry.lines), len(entry.alone)) for entry in todo.entries] == [
        ("s", ["m0"], 5, 1),
        ("s", ["m1"], 5, 1),
        ("t", ["m", "n"], 2, 2),
        ("s", ["m8"], 1, 1),
        ("s", ["m9"], 1, 1),
    ]
    assert todo.amounts(todo.entries[0].lines) == {"kWh": Decimal(90)}


def test_the_order_does_not_depend_on_that_of_the_rows():
    expected = [entry.meter_ids for entry in todo_of(FAILURES, LINES).entries]
    for cut in range(len(LINES)):
        failures, lines = FAILURES[cut:] + FAILURES[:cut], LINES[:cut][::-1] + LINES[cut:]
        assert [entry.meter_ids for entry in todo_of(failures, lines).entries] == expected


def test_each_entry_names_the_line_or_the_command_that_mends_it():
    replaced, stuck, gap, unknown, starts = todo_of(FAILURES, LINES).entries

    def advice(entry, site: str = "Rue 1") -> list[str]:
        return [way for kind in entry.kinds for way in kind.advice(site)]

    assert advice(replaced) == ["in config/meters.csv (site_id,meter_id,replaced_at): s,m0,2026-10-08"]
    assert advice(stuck) == [
        "have it corrected by the provider, then: climkit backfill 2026-10-08 2026-10-08 --site 'Rue 1' --refetch",
        "or, if it is right as it is: climkit accept stuck_unread --site 'Rue 1' --meter m1 --from 2026-10-08 "
        "--to 2026-10-08 --by WHO --why TEXT",
    ]
    assert advice(gap)[0] == "climkit backfill 2026-10-08 2026-10-08 --site 'Rue 1' --refetch"
    assert advice(unknown) == ["in config/meters.csv (site_id,meter_id,mode): s,m8,consumption"]
    assert advice(starts) == ["in config/meters.csv (site_id,meter_id,in_service_from): s,m9,2026-10-12"]


def test_days_that_were_forgotten_are_neither_asked_for_nor_settled():
    """In an entry of their own, since no command for the whole site mends them."""
    gone = [
        replace(failure("missing_intervals", "m", site="t", **DAY), forgotten="closed month"),
        replace(failure("changed_after_closing", "m", site="t"), forgotten="closed month"),
    ]
    lines = [line("m", "missing_intervals", "changed_after_closing", site="t"), line("n", "not_fetched", site="t")]
    todo = todo_of([*gone, failure("not_fetched", "n", site="t")], lines)
    by_meter = {tuple(entry.meter_ids): entry for entry in todo.entries}
    assert {way for kind in by_meter["m",].kinds for way in kind.advice("Rue 2")} == {
        "days of it were forgotten on purpose (config/forgotten.csv): leave the bill as it was closed"
    }
    assert by_meter["n",].kinds[0].advice("Rue 2")[0].startswith("climkit backfill")
    ways = replace(gone[0], forgotten="open month").advice("Rue 2")
    assert "no call brings them back" in ways[0]
    assert "climkit accept missing_intervals" in ways[1]


def test_what_only_time_mends_comes_last():
    waiting = [failure("running", f"m{number}", "the period had not ended at the last call") for number in range(5)]
    lines = [line(f"m{number}", "running") for number in range(5)] + [line("m8", "unknown_role", total="1")]
    todo = todo_of([*waiting, failure("unknown_role", "m8")], lines)
    assert [entry.waits_for_time for entry in todo.entries] == [False, True]
    assert [len(entry.lines) for entry in todo.entries] == [1, 5]


def test_what_waits_last_is_said_beside_another_failure_but_to_ask_again_only_once():
    """It was hidden: a line was said to be free after one thing, and was refused for the other then."""
    wrong, unconfirmed = failure("index_difference", "m0"), failure("not_confirmed", "m0")
    todo = todo_of([unconfirmed, wrong], [line("m0", "index_difference")])
    (entry,) = todo.entries
    assert [each.check_name for each in entry.kinds] == ["index_difference", "not_confirmed"]
    printed = "\n".join(described(1, entry, todo))
    assert printed.count("climkit backfill") == 1
    assert "not_confirmed: " in printed


def test_a_settlement_comes_after_what_it_would_be_refused_for():
    """`todo` said that a line would be free once it was settled, and `settle` refused: provisional, not_confirmed."""
    changed, unconfirmed = failure("changed_after_closing", "m0"), failure("not_confirmed", "m0")
    (entry,) = todo_of([changed, unconfirmed], [line("m0", "changed_after_closing")]).entries
    assert [each.check_name for each in entry.kinds] == ["not_confirmed", "changed_after_closing"]

    todo = todo_of(
        [changed, failure("unknown_role", "m8"), failure("not_confirmed", "m8")],
        [line("m0", "changed_after_closing"), line("m8", "unknown_role", total="30")],
    )
    refused = {tuple(entry.meter_ids): todo.is_refused_yet(entry) for entry in todo.entries}
    assert refused == {("m0",): True, ("m8",): False}
    (settled,) = (entry for entry in todo.entries if entry.meter_ids == ["m0"])
    assert not any("would be free" in said for said in described(1, settled, todo))


def test_a_consequence_whose_cause_is_nowhere_stands_for_itself():
    """A sibling that was excluded fails no check of this month: its line was held up by nothing."""
    (entry,) = todo_of([failure("unsound_sibling", "m2", unsound("Flat 0"))], [line("m2", "unsound_sibling")]).entries
    assert [each.check_name for each in entry.kinds] == ["unsound_sibling"]
    assert entry.kinds[0].advice("Rue 1")[0] == "mend or accept what is wrong with Flat 0"


def test_an_entry_is_headed_by_the_meters_of_its_lines_and_by_name():
    """It was headed by meters that are on no bill, in the order of their ids."""
    names = {("s", "a"): "Pump", ("s", "b"): "Flat 2", ("s", "c"): "Flat 1", ("s", "d"): "Cellar"}
    failures = [failure("not_fetched", meter) for _, meter in names]
    lines = [line("b", "not_fetched"), line("c", "not_fetched")]
    todo = Todo(in_order(causes_of(failures, lines, names), lines), lines, {"s": "Rue 1"}, names)
    (entry,) = todo.entries
    assert next(iter(described(1, entry, todo))) == "1. Rue 1, Flat 1, Flat 2, Cellar, Pump"

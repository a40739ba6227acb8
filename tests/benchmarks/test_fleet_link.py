"""What the benchmark of links says does not depend on the machine where its time is simulated: held to here."""

from __future__ import annotations

import pytest

from benchmarks import fleet_link


@pytest.mark.slow
def test_a_hundred_missions_of_a_hundred_items_get_through_a_bad_line_in_time() -> None:
    figures = fleet_link._bad_line()
    print({name: (f.value, f.spread, f.peer) for name, f in figures.items()})  # noqa: T201
    assert figures["missions_right"].met, figures["missions_right"]
    assert figures["mission_to_stop_and_wait"].met, figures["mission_to_stop_and_wait"]


@pytest.mark.slow
def test_of_a_thousand_mixed_uploads_none_is_said_to_be_where_it_is_not() -> None:
    figures = fleet_link._mixed()
    print({name: (f.value, f.how) for name, f in figures.items()})  # noqa: T201
    assert figures["wrong_plans"].met, figures["wrong_plans"]
    assert figures["plans_done"].value > 0.7 * fleet_link.MIXED_UPLOADS

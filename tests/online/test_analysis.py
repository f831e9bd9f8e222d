"""What is counted in a journal, by hand, and what the report of simulated visitors says."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from visits import DAY, START, Visits, simulate, split

from segue.errors import ArtifactError, ParameterError, UnknownNameError
from segue.online.analysis import CONVERSION, HIT, PREFERENCE, Analysis, analyse
from segue.online.outcomes import Choice, read_record
from segue.online.report import as_dict, as_markdown, chart, left_out, verdicts, warnings
from segue.strict_json import dumps


def analysed(folder: Path, **choice) -> Analysis:
    chosen = Choice(**choice)
    return analyse(read_record(folder, chosen), chosen)


def names(arm: str, number: int, one=None) -> list[str]:
    """Return the first sessions of an arm."""
    found = (f"s{place}" for place in range(10_000))
    chosen = one or split()
    return [next(name for name in found if chosen.arm_of(name) == arm) for _ in range(number)]


class TestCounting:
    def test_clicks_by_hand(self, tmp_path: Path) -> None:
        """Which events are clicks on which list, and what else is no click."""
        one, visits = split(), Visits()
        first, second, third = names("a", 3)
        a, b = visits.show(first, START, one), visits.show(first, START + 60_000, one)
        visits.click(first, START + 70_000, "i2", led_by=a)  # Names the list, whenever it comes.
        visits.click(first, START + 70_001, "i3", led_by=a)  # The list is clicked already.
        visits.click(first, START + 70_002, "other", led_by=b)  # Not an item of the list.
        visits.show(second, START, one)
        visits.show(second, START + 1000, one)
        visits.click(second, START + 2000, "i4")  # Names none: the last list with the item.
        visits.click(second, START, "i4")  # Not after a list.
        c = visits.show(third, START, one)
        visits.click(third, START + 31 * 60_000, "i4")  # Too late for an event that names no list.
        visits.click(second, START + 5, "i1", led_by=c)  # The list of another session.
        visits.click(third, START + 6, "i1", led_by="unknown")
        record = read_record(visits.write(tmp_path), Choice())
        assert sorted(record.clicks["recommendation_id"]) == [a, a, "r4"]
        found = analyse(record, Choice())
        assert found.rates[HIT][0].value == pytest.approx(2 / 5)
        assert (found.counts["events_naming_a_list"], found.counts["of_a_known_list"]) == (5, 4)
        assert any(line.startswith("1 of 5 events name a list that is not in the journal") for line in warnings(found))

    def test_conversions_come_after_the_first_list(self, tmp_path: Path) -> None:
        one, visits = split(), Visits()
        before, after, never, twice = names("b", 4)
        for session in (before, after, never, twice):
            visits.show(session, START, one)
        visits.click(before, START - 1, "x", type="purchase")
        for session in (after, twice, twice):
            visits.click(session, START + DAY, "x", type="purchase")
        visits.click(never, START + 1, "x", type="cart")
        folder = visits.write(tmp_path)
        assert analysed(folder).rates[CONVERSION][1].value == pytest.approx(2 / 4)
        assert analysed(folder, conversions=("cart", "purchase")).rates[CONVERSION][1].value == pytest.approx(3 / 4)
        warned = warnings(analysed(folder, conversions=("order",)))[-1]
        assert warned.startswith("there is no conversion: name the types of events that are conversions")
        assert warned.endswith("types of the journal are purchase, cart")

    def test_forced_lists_bots_and_requests_without_a_session_are_kept_apart(self, tmp_path: Path) -> None:
        one, visits = split(), Visits()
        person, marked, fast = names("a", 3)
        visits.show(person, START, one)
        visits.show(person, START + 1, one, arm=None, unit=None, forced=True)
        visits.show(None, START + 2, one, arm=None, unit=None)
        visits.show(marked, START, one, bot=True)
        visits.show(fast, START, one)
        for number in range(60):
            visits.click(fast, START + number * 100)
        found = analysed(visits.write(tmp_path))
        assert (found.units, found.lists) == ([1, 0], [1, 0])
        assert left_out(found) == [
            "1 lists of requests that named a model (forced)",
            "1 lists of requests without a session",
            "2 sessions that are bots: marked, or too fast (--bot-rate)",
        ]
        assert analysed(tmp_path, bot_rate=61).units == [2, 0]

    def test_only_lists_that_were_seen_count_if_the_site_says_which(self, tmp_path: Path) -> None:
        one, visits = split(), Visits()
        (session,) = names("a", 1)
        shown, clicked, unseen, empty, foreign = (visits.show(session, START + place, one) for place in range(5))
        visits.see(shown, session, [1, 2])
        visits.see(shown, session, [1, 2])  # A retry.
        visits.see(empty, session, [])
        visits.see(foreign, "another", [1])
        visits.click(session, START + 10, led_by=clicked)
        found = analysed(visits.write(tmp_path))
        assert (found.lists, found.counts["unseen_lists"]) == ([2, 0], 3)
        assert found.rates[HIT][0].value == pytest.approx(1 / 2)
        assert analysed(tmp_path, every_list=True).lists == [5, 0]
        assert unseen not in found.record.seen

    def test_a_unit_that_moves_counts_for_its_first_arm(self, tmp_path: Path) -> None:
        before, after, visits = split(a=1, b=1), split(a=1, b=9), Visits()
        moving = next(name for name in names("a", 50, before) if after.arm_of(name) == "b")
        visits.show(moving, START, before)
        visits.click(moving, START + DAY + 5, led_by=visits.show(moving, START + DAY, after))
        found = analysed(visits.write(tmp_path))
        assert found.units == [1, 0]
        assert found.rates[HIT][0].value == pytest.approx(1 / 2)
        assert found.planned == pytest.approx([0.5, 0.5])
        assert warnings(found)[0].startswith("1 units changed their arm when weights changed")

    def test_a_model_that_was_not_loaded(self, tmp_path: Path) -> None:
        one, visits = split(), Visits()
        visits.show(names("a", 1)[0], START, one, model="model-b")
        found = analysed(visits.write(tmp_path))
        assert found.units == [1, 0]
        assert warnings(found)[0].startswith("1 lists were answered by the default model")

    def test_users(self, tmp_path: Path) -> None:
        """Lists and conversions of all sessions of a user count for the user."""
        one, visits = split(unit="user"), Visits()
        for number in range(4):
            session, user = f"visit-{number}", f"u{number // 2}"
            visits.show(session, START + number, one, unit=user, user=user, arm=one.arm_of(user))
        visits.click("visit-1", START + DAY, "x", type="purchase")
        found = analysed(visits.write(tmp_path))
        assert sum(found.units) == 2
        arm = found.arms.index(one.arm_of("u0"))
        assert found.rates[CONVERSION][arm].value > 0

    def test_files_of_a_service_without_experiments(self, tmp_path: Path) -> None:
        """They lack columns, and their exposures take no part."""
        visits = Visits()
        visits.show("s", START, None)
        folder = visits.write(tmp_path)
        (file,) = (folder / "exposures").iterdir()
        pl.read_parquet(file).drop("experiment", "plan", "arms", "bot").write_parquet(file)
        with pytest.raises(ArtifactError, match="has no exposure of an experiment; start the service with --experi"):
            analysed(folder)
        other = Visits()
        other.number = 10
        other.show("s1", START + 1, split())
        other.write(tmp_path / "later")
        (more,) = (tmp_path / "later" / "exposures").iterdir()
        more.rename(file.with_name(more.name.replace("0001.parquet", "0002.parquet")))
        assert sum(analysed(folder).units) == 1

    def test_interleaving(self, tmp_path: Path) -> None:
        one, visits = split(interleave=True), Visits()
        for number in range(120):
            session = f"s{number}"
            name = visits.show(session, START + number, one, arm=None, arms=["a", "b", "b", "a", "b"])
            visits.click(session, START + number + 5, "i1" if number % 4 else "i0", led_by=name)
            if number == 0:
                visits.click(session, START + number + 6, "i2", led_by=name)  # Both: half for each.
        found = analysed(visits.write(tmp_path))
        assert found.p_value is None
        assert [one.value for one in found.rates[PREFERENCE]] == pytest.approx([29.5 / 120, 90.5 / 120])
        assert verdicts(found)[0].startswith("b is better than a: +50.83 points share of clicks, 95% interval")


class TestVerdicts:
    def test_a_known_effect(self, tmp_path: Path) -> None:
        found = analysed(simulate(split(), 4000, {"a": 0.10, "b": 0.16}).write(tmp_path))
        hit, bought = verdicts(found)
        assert hit.startswith("b is better than a: +")
        assert hit.endswith("; safe to stop")
        assert bought.startswith("no difference yet between b and a: ")
        assert sum(found.units) == 4000
        assert found.counts["clicks"] == found.counts["events_naming_a_list"] == found.counts["of_a_known_list"]
        low, high = found.totals[0].difference.interval
        assert low < 0.06 < high
        assert [row.value for row in found.days if row.metric == HIT] == [f"2026-09-{day}" for day in range(21, 28)]
        assert found.days[-2].difference == found.totals[0].difference
        assert sum(row.units for row in found.slices if (row.slice, row.metric) == ("day", HIT)) == 4000
        assert json.loads(dumps(as_dict(found)))["sample_ratio"]["broken"] is False
        text = as_markdown(found)
        assert hit in text
        assert "| a | model-a |" in text
        assert len(chart(found)["vconcat"]) == 2

    def test_a_broken_split(self, tmp_path: Path) -> None:
        """A tenth of the sessions of an arm is lost."""
        one = split()
        visits = Visits()
        for number in range(6000):
            if one.arm_of(f"s{number}") == "a" or number % 10:
                visits.show(f"s{number}", START + number, one)
        found = analysed(visits.write(tmp_path))
        (verdict,) = verdicts(found)
        assert verdict.startswith("the split is broken: 53.3%")
        assert " of sessions are in a where 50.0% were planned (p = 4.6e-07)" in verdict
        assert "do not read the rates" in verdict
        assert "Arms" not in as_markdown(found)

    def test_too_little_data(self, tmp_path: Path) -> None:
        visits = Visits()
        for session in names("a", 3) + names("b", 3):
            visits.click(session, START + 5, led_by=visits.show(session, START, split()))
        assert verdicts(analysed(visits.write(tmp_path)))[0] == (
            "too little data on the hit rate of b and a: each arm needs 10 clicked units or more; go on"
        )

    def test_shares_that_change_do_not_make_a_difference(self, tmp_path: Path) -> None:
        """The share of b grows while everybody clicks more: pooled, b would be better."""
        rng, visits = np.random.default_rng(9), Visits()
        for day, (one, rate) in enumerate(((split(a=9, b=1), 0.05), (split(a=1, b=9), 0.25))):
            for number in range(3000):
                session, time = f"s{day}-{number}", START + day * DAY + number * 1000
                name = visits.show(session, time, one)
                if rng.random() < rate:
                    visits.click(session, time + 5, led_by=name)
        found = analysed(visits.write(tmp_path))
        difference = found.totals[0].difference
        assert difference.interval[0] < 0 < difference.interval[1]
        assert not found.is_broken

    def test_an_arm_that_is_taken_out_does_not_break_the_split(self, tmp_path: Path) -> None:
        """Half of the units came while there was a third arm: 1 of 3 of these was planned in each of the two left."""
        visits, of_three = Visits(), split(a=1, b=1, c=1)
        for session in names("a", 60, of_three) + names("b", 60, of_three) + names("c", 60, of_three):
            visits.show(session, START, of_three)
        for number in range(100):
            visits.show(f"later-{number}", START + DAY, split(), arm="ab"[number % 2])
        found = analysed(visits.write(tmp_path))
        assert (found.units, found.planned) == ([110, 110], pytest.approx([110, 110]))
        assert found.p_value == pytest.approx(1)

    def test_slices_that_disagree_with_the_total(self, tmp_path: Path) -> None:
        """On each device b is better, but it is mostly used on the one where few click (Simpson)."""
        one, visits = split(), Visits()
        for number in range(6000):
            session = f"s{number}"
            arm = one.arm_of(session)
            phone = (number % 5 == 0) != (arm == "b")
            rate = (5 if phone else 40) + (3 if arm == "b" else 0)
            name = visits.show(session, START + number, one)
            visits.click(session, START + number, "x", context={"device": "phone" if phone else "desk"})
            if number * 37 % 100 < rate:
                visits.click(session, START + number + 5, led_by=name)
        found = analysed(visits.write(tmp_path), columns=("device",))
        assert ("hit rate", "b", "device") in found.reversed
        assert warnings(found)[0].startswith("device and total disagree on the hit rate of b")
        rows = {row.value: row for row in found.slices if row.slice == "device" and row.metric == HIT}
        assert found.totals[0].difference.value < 0 < min(row.difference.value for row in rows.values())


class TestProblems:
    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="must be the state folder of a service that has written its journal"):
            analysed(tmp_path)

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        folder = simulate(split(), 5, {"a": 0.1, "b": 0.1}).write(tmp_path)
        (file,) = (folder / "exposures").iterdir()
        file.write_bytes(b"PAR1")
        with pytest.raises(ArtifactError, match=f"{file}: is damaged .*; remove it"):
            analysed(folder)

    def test_names(self, tmp_path: Path) -> None:
        visits = simulate(split("first"), 5, {"a": 0.1, "b": 0.1})
        visits.show("s", START + 30 * DAY, split("second"))
        folder = visits.write(tmp_path)
        assert analysed(folder).record.name == "second"
        assert sum(analysed(folder, name="first").units) == 5
        with pytest.raises(UnknownNameError, match="unknown experiment 'frist': did you mean 'first'"):
            analysed(folder, name="frist")
        with pytest.raises(ParameterError, match="--slice: must be a key in the context of events"):
            analysed(folder, columns=("device",))

    def test_nobody_took_part(self, tmp_path: Path) -> None:
        visits = Visits()
        visits.show(None, START, split(), arm=None, unit=None)
        with pytest.raises(ArtifactError, match="no request took part in home: it needs session_id"):
            analysed(visits.write(tmp_path))

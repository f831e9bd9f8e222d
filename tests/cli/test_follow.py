"""Commands on a model and a log read the log as that of the model was read."""

import json
from pathlib import Path

import polars as pl
import pytest
from command import Outcome, segue, write_shop

from segue.artifact import Artifact

COLUMNS = ("--columns", "session=visit_no,item=article,time=moment")
"""Without them, sessions would be those of ``visitor``."""


def write_visits(path: Path, seed: int = 0, days: int = 0) -> Path:
    """Write a log with 40 visitors, whose visits, items and times have names of their own."""
    frame = pl.read_csv(write_shop(path, 400, seed), try_parse_dates=True)
    frame.select(
        visitor=pl.col("session").rank("dense") % 40,
        visit_no="session",
        article="item",
        moment=pl.col("time") + pl.duration(days=days),
    ).write_csv(path)
    return path


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_visits(tmp_path_factory.mktemp("visits") / "visits.csv")


@pytest.fixture(scope="module")
def tested(visits: Path) -> Path:
    """STAN of a run with columns named by the user. Not to be written to."""
    out = visits.parent / "run"
    parameters = ("--set", "stan.updatable=true", "--no-baselines")
    ok(segue("run", visits, *COLUMNS, "--model", "stan", *parameters, "--out", out))
    return out / "stan"


@pytest.fixture(scope="module")
def production(visits: Path, tested: Path) -> Path:
    """The model, trained on everything without naming a column. Not to be written to."""
    ok(segue("fit", visits, "--like", tested, "--out", visits.parent / "production"))
    return visits.parent / "production"


def ok(outcome: Outcome) -> str:
    assert outcome.code == 0, outcome.err
    return outcome.out + outcome.err


def same_arrays(one: Path, other: Path) -> bool:
    return Artifact.read(one).arrays.keys() == Artifact.read(other).arrays.keys() and all(
        (array == Artifact.read(other).arrays[name]).all() for name, array in Artifact.read(one).arrays.items()
    )


def test_fit_reads_the_columns_of_the_run(visits: Path, tested: Path, production: Path, tmp_path: Path) -> None:
    ok(segue("fit", visits, *COLUMNS, "--like", tested, "--out", tmp_path / "named"))
    assert Artifact.facts(production) == Artifact.facts(tmp_path / "named")
    assert same_arrays(production, tmp_path / "named")
    reading = Artifact.facts(production)["reading"]
    assert reading["columns"] == {"session": "visit_no", "user": "visitor", "item": "article", "time": "moment"}
    assert (reading["unit"], Artifact.facts(tested)["reading"]) == ("session", reading)
    said = ok(segue("fit", visits, "--like", production, "--out", tmp_path / "again", "--memory", "2GB"))
    assert "not as in the log of the model" not in said
    assert same_arrays(production, tmp_path / "again")


def test_options_against_those_of_the_run_are_said_in_a_line(visits: Path, tested: Path, tmp_path: Path) -> None:
    said = ok(segue("fit", visits, "--like", tested, "--columns", "session=visitor", "--out", tmp_path / "a"))
    assert said.count("not as in the log of the model: session is 'visitor' (there 'visit_no'), ") == 1
    assert Artifact.facts(tmp_path / "a")["data"]["sessions"] <= 40
    said = ok(segue("fit", visits, "--like", tested, "--unit", "user", "--out", tmp_path / "b"))
    assert "a session is a user's history (there a visit)\n" in said
    assert Artifact.facts(tmp_path / "b")["reading"]["columns"]["user"] == "visitor"


def test_a_log_without_the_sessions_of_the_run_is_refused(visits: Path, tested: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    pl.read_csv(visits).rename({"visit_no": "visit_key"}).write_csv(other)
    for more in ((), ("--memory", "2GB")):
        outcome = segue("fit", other, "--like", tested, "--out", tmp_path / "model", *more)
        assert outcome.code == 2
        assert (
            "other.csv: has no column for the session, which is 'visit_no' in the log of the model; it has 'visitor', "
            "'visit_key', 'article', 'moment'; say which one it is, for example columns={'session': 'visit_key'} or "
            "--columns session=visit_key\n" in outcome.err
        )
    ok(segue("fit", other, "--like", tested, "--columns", "session=visit_key", "--out", tmp_path / "model"))
    histories = segue("fit", other, "--like", tested, "--columns", "user=visitor", "--out", tmp_path / "users")
    assert "(there a visit)" in ok(histories)


def test_score_says_so_too(visits: Path, tested: Path, tmp_path: Path) -> None:
    said = ok(segue("score", tested, visits, "--columns", "session=visitor", "--out", tmp_path / "scores"))
    assert said.count("not as in the log of the model: session is 'visitor' (there 'visit_no'), ") == 1


def test_a_log_with_common_names_needs_no_options(visits: Path, tested: Path, tmp_path: Path) -> None:
    """The clicks that a service recorded."""
    clicks = tmp_path / "clicks.parquet"
    names = {"visitor": "user", "visit_no": "session", "article": "item", "moment": "time"}
    pl.read_csv(visits, try_parse_dates=True).rename(names).write_parquet(clicks)
    said = ok(segue("fit", clicks, "--like", tested, "--out", tmp_path / "model"))
    assert "session is 'session' (there 'visit_no')" in said
    assert same_arrays(tmp_path / "model", visits.parent / "production")


def test_histories_stay_histories(visits: Path, tmp_path: Path) -> None:
    """A column that looks like a session is not taken for one if sessions were users."""
    users, both = tmp_path / "users.csv", tmp_path / "both.csv"
    renamed = pl.read_csv(visits).rename({"moment": "time", "article": "item"})
    renamed.drop("visit_no").write_csv(users)
    renamed.rename({"visit_no": "session_id"}).write_csv(both)
    run = ("--model", "markov", "--no-baselines", "--out", tmp_path / "run")
    ok(segue("run", users, *run))
    like = ("--like", tmp_path / "run/markov", "--out")
    ok(segue("fit", both, *like, tmp_path / "model"))
    assert Artifact.facts(tmp_path / "model")["data"]["sessions"] <= 40
    loose = ("--set", "protocol.cleaning.k_core=1")
    ok(segue("fit", both, *like, tmp_path / "visits", "--columns", "session=session_id", *loose))
    assert Artifact.facts(tmp_path / "visits")["data"]["sessions"] > 300
    renamed.drop("visitor").rename({"visit_no": "session_id"}).write_csv(both)
    outcome = segue("fit", both, *like, tmp_path / "none")
    assert outcome.code == 2
    assert "has no column for the user, which is 'visitor' in the log of the model" in outcome.err


def test_evaluate_score_distill_and_add_items_read_them_too(visits: Path, tested: Path, tmp_path: Path) -> None:
    found = json.loads(segue("evaluate", tested, visits, "--json").out)
    facts = Artifact.facts(tested)
    assert (found["hash"], found["metrics"]) == (facts["protocol"]["hash"], facts["result"]["metrics"])
    ok(segue("score", tested, visits, "--out", tmp_path / "scores"))
    assert pl.read_parquet(tmp_path / "scores/*.parquet")["session"].n_unique() == 400
    small = ("--set", "sasrec.training.epochs=1", "--set", "sasrec.embedding_size=8")
    ok(segue("distill", tested, visits, *small, "--out", tmp_path / "student"))
    student = tmp_path / "student/sasrec-alone"
    assert Artifact.facts(student)["reading"] == facts["reading"]
    new = tmp_path / "vectors.parquet"
    ids = [*Artifact.read(student).vocabulary.ids, 99_999]
    pl.DataFrame({"article": ids, "vector": [[float(i), 1.0] for i in range(len(ids))]}).write_parquet(new)
    said = ok(segue("add-items", student, new, "--item-vectors", new, "--to", tmp_path / "grown"))
    assert "1 item added" in said


def test_update_reads_them_too(visits: Path, production: Path, tmp_path: Path) -> None:
    later = write_visits(tmp_path / "later.csv", seed=1, days=100)
    ok(segue("update", production, later, "--out", tmp_path / "updated"))
    about = Artifact.facts(tmp_path / "updated")
    assert (about["updates"][0]["sessions"] > 300, about["reading"]) == (True, Artifact.facts(production)["reading"])


def test_a_prepared_data_set_hands_them_on(visits: Path, tmp_path: Path) -> None:
    for folder, more in (("memory", ()), ("disk", ("--memory", "2GB"))):
        ok(segue("prepare", visits, *COLUMNS, "--out", tmp_path / folder, *more))
    assert (tmp_path / "memory/about.json").read_bytes() == (tmp_path / "disk/about.json").read_bytes()
    ok(segue("run", tmp_path / "disk", "--model", "stan", "--no-baselines", "--out", tmp_path / "run"))
    ok(segue("fit", visits, "--like", tmp_path / "run/stan", "--out", tmp_path / "model"))
    assert Artifact.facts(tmp_path / "model")["data"]["sessions"] > 300


def test_the_format_of_the_times_is_that_of_the_run(visits: Path, tmp_path: Path) -> None:
    """It is one that dates do not tell: day and month in the order of the run; dates of a table need none."""
    table = pl.read_csv(visits, try_parse_dates=True)
    dates = table.with_columns(moment=pl.col("moment").dt.truncate("1d").dt.strftime("%m/%d/%Y"))
    dates = dates.filter(pl.col("moment").str.slice(3, 2) <= "12")
    dates.write_csv(tmp_path / "dates.csv")
    given = ("--time-format", "%d/%m/%Y", "--protocol", "leave-one-out", "--set", "protocol.cleaning.k_core=1")
    model = ("--model", "markov", "--no-baselines", "--out", tmp_path / "run")
    ok(segue("run", tmp_path / "dates.csv", *COLUMNS, *given, *model))
    like = ("--like", tmp_path / "run/markov")
    said = ok(segue("fit", tmp_path / "dates.csv", *like, "--out", tmp_path / "model"))
    assert "dates in the format %d/%m/%Y, as requested" in said
    table.write_parquet(tmp_path / "dates.parquet")
    ok(segue("fit", tmp_path / "dates.parquet", *like, "--out", tmp_path / "other"))
    table.write_csv(tmp_path / "iso.csv", datetime_format="%Y-%m-%d")
    iso = ("fit", tmp_path / "iso.csv", *like, "--out", tmp_path / "iso")
    outcome = segue(*iso)
    assert outcome.code == 2
    assert "column 'moment': must be a date in the format %d/%m/%Y, got " in outcome.err
    assert "; this was the format of the log of the model; if it is not that of this log, give its own with " in (
        outcome.err
    )
    ok(segue(*iso, "--time-format", "%Y-%m-%d"))


def test_a_recorded_format_is_named_with_the_way_to_another(visits: Path, tmp_path: Path) -> None:
    run, fit, out = (
        tmp_path / "run",
        ("fit", "--like", tmp_path / "run/stan"),
        ("--out", tmp_path / "model", "--overwrite"),
    )
    ok(segue("run", visits, *COLUMNS, "--format", "csv", "--model", "stan", "--no-baselines", "--out", run))
    table = tmp_path / "visits.tsv"
    pl.read_csv(visits).write_csv(table, separator="\t")
    said = "format: csv, as it was given for the log of the model; --format (format=) overrides it"
    for engine in ((), ("--memory", "2GB")):
        outcome = segue(*fit, table, *engine, *out)
        assert outcome.code == 2
        assert said in outcome.err
        assert "give another format, or leave format out" in outcome.err
        assert said in ok(segue(*fit, visits, *engine, *out))
    assert said not in ok(segue(*fit, table, "--format", "tsv", "--out", tmp_path / "other"))


def test_a_damaged_reading_is_named(visits: Path, tested: Path, tmp_path: Path) -> None:
    manifest = json.loads((tested / "manifest.json").read_text(encoding="utf-8"))
    manifest["about"]["reading"]["unit"] = "week"
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tested.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    outcome = segue("score", folder, visits, "--out", tmp_path / "scores")
    assert outcome.code == 2
    assert "manifest.json: about.reading.unit" in outcome.err

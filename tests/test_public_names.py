import ast
import subprocess
import sys
from pathlib import Path

import segue
from segue.data.synthetic import shop


def test_every_public_name_is_there_and_is_the_one_that_type_checkers_see() -> None:
    tree = ast.parse(Path(segue.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        (alias.name, node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == alias.asname
    }
    assert typed == {(name, f"segue.{home}") for name, home in segue._HOMES.items()}
    assert all(getattr(segue, name) is not None for name in segue.__all__)


def test_looking_into_a_log_does_not_load_torch() -> None:
    code = "import sys, segue; segue.prepare, segue.read, segue.Protocol; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_a_notebook_shows_fits_on_a_line() -> None:
    log = shop(300, seed=0)
    data = segue.prepare(log)
    model = segue.Markov(n_neighbours=3).fit(data.train)
    evaluation = segue.evaluate(model, data)
    train, test = data.train, data.test
    sessions = f"Sessions(sessions={len(train)}, events={len(train.items)}, items={len(data.vocabulary)})"
    expected = {
        log: f"Events(events={len(log)}, unit='session', columns=['session', 'item', 'time'])",
        train: sessions,
        test: f"Cases(cases={len(test)})",
        test.prefixes: f"Prefixes(prefixes={len(test)})",
        data.vocabulary: f"Vocabulary(items={len(data.vocabulary)})",
        data: f"Dataset(protocol='session-next', hash='{data.hash}', train={sessions}, valid={data.valid}, "
        f"test={test})",
        model: "Markov(n_neighbours=3)",
        segue.GRU4Rec(training={"epochs": 3}): "GRU4Rec(training={'epochs': 3})",
    }
    assert {shown: repr(shown) for shown in expected} == expected
    assert repr(evaluation).startswith(f"Evaluation(cases={len(test)}, metrics={{'recall@20': ")
    assert "\n" not in repr(evaluation)

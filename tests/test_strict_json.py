import json
import math
import re
from pathlib import Path

import numpy as np
from pydantic import BaseModel

import segue
from segue.strict_json import Number, digest, dumps

SOURCES = Path(segue.__file__).parent


def test_numbers_that_are_not_finite_become_null_wherever_they_stand() -> None:
    value = {"a": math.nan, "b": [math.inf, (-math.inf, 1.5)], "c": {"d": np.float64("nan")}, "e": 3, "é": True}
    assert json.loads(dumps(value)) == {"a": None, "b": [None, [None, 1.5]], "c": {"d": None}, "e": 3, "é": True}
    assert "é" in dumps(value)
    assert dumps({"b": [1], "a": 2}, sort_keys=True, compact=True) == '{"a":2,"b":[1]}'


def test_floats_survive_exactly() -> None:
    values = [0.1, 1 / 3, 1e-300, -0.0, 2.0**60]
    assert json.loads(dumps(values)) == values


def test_null_is_read_as_nan_and_other_rules_of_a_number_hold() -> None:
    class Row(BaseModel):
        values: dict[str, Number]

    row = Row.model_validate_json('{"values": {"a": null, "b": 1}}')
    assert math.isnan(row.values["a"])
    assert row.values["b"] == 1.0
    assert json.loads(dumps(row.model_dump(mode="json"))) == {"values": {"a": None, "b": 1.0}}


def test_a_digest_depends_on_the_content_and_not_on_the_order_of_names() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})
    assert re.fullmatch("[0-9a-f]{12}", digest([]))


def test_no_json_is_written_in_another_way() -> None:
    # One shows values to a reader, one quotes names inside an expression, and a model's config is hashed.
    others = {"strict_json.py", "parameters.py", "embeddings/panels.py", "chart_process.py"}
    hashed = {"models/neural.py", "models/two_stage.py"}
    found = {
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*.py")
        if re.search(r"json\.dumps?\(|model_dump_json\(", path.read_text(encoding="utf-8"))
    }
    assert found - hashed == others

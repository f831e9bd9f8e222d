"""RePlay's half of ``scale.py``: the default protocol of segue on Spark; runs in its environment, without segue.

    PYTHON benchmarks/scale_replay.py LOG.parquet OUT GIGABYTES

Sessions that end in the last day are the test part, those of the day before validation; training keeps items with 5
events, then sessions with 2 events; held-out events of other items are dropped, and then sessions with one event left.
"""

import json
import sys
from pathlib import Path

from pyspark.sql import DataFrame, functions
from replay.preprocessing import LabelEncoder, LabelEncodingRule
from replay.preprocessing.filters import MinCountFilter
from replay.splitters import TimeSplitter
from replay.utils.session_handler import get_spark_session

DAY = 86_400
SESSION, ITEM, TIME = "SessionId", "ItemId", "Time"


def split(log: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Return the sessions that end before the last day of a log, and all others."""
    begin = log.agg(functions.max(TIME)).first()[0] - DAY
    columns = {"query_column": SESSION, "item_column": ITEM, "timestamp_column": TIME, "session_id_column": SESSION}
    before, after = TimeSplitter(begin, session_id_processing_strategy="test", **columns).split(log)
    return before, after


def main() -> None:
    """Prepare the log, and write its parts and their numbers of events and sessions."""
    source, out, memory = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    spark = get_spark_session(spark_memory=memory)
    spark.sparkContext.setLogLevel("ERROR")
    rest, test = split(spark.read.parquet(source))
    train, valid = split(rest)
    train = MinCountFilter(5, ITEM).transform(train)
    train = MinCountFilter(2, SESSION).transform(train).cache()
    encoder = LabelEncoder([LabelEncodingRule(ITEM, handle_unknown="drop")])
    parts = {"train": encoder.fit_transform(train)}
    for name, held_out in {"valid": valid, "test": test}.items():
        parts[name] = MinCountFilter(2, SESSION).transform(encoder.transform(held_out))
    counts = {}
    for name, part in parts.items():
        part.orderBy(SESSION, TIME).write.mode("overwrite").parquet(str(out / name))
        written = spark.read.parquet(str(out / name))
        counts[name] = [written.count(), written.select(SESSION).distinct().count()]
    (out / "counts.json").write_text(json.dumps(counts), encoding="utf-8")
    spark.stop()


if __name__ == "__main__":
    main()

"""A run's results as Markdown."""

import re
from collections.abc import Iterable, Sequence

from segue.evaluation.linter.checks import Finding
from segue.experiment.report.wording import by_severity, few, headed, number, part_sizes, sampled, shown
from segue.experiment.results import Difference, Example, ModelResult, Results
from segue.parameters import typed


def markdown(results: Results) -> str:
    """Return the report as Markdown: leaderboard, what is behind its figures, log, protocol, and all metrics."""
    rows, metrics, decimals = results.models, results.protocol["headline"], results.protocol.get("decimals", 4)
    mark = sampled(results)
    parts = [
        f"# {_plain(results.log)}\n",
        f"{results.data['test_cases']:,} test cases, protocol `{results.protocol['name']}`, "
        f"hash `{results.protocol['hash']}`, seed {results.seed}, "
        f"segue {results.segue}. Figures with another hash are not comparable.\n",
        *([f"**Sampled ({mark}): targets are ranked among drawn items, not among all.**\n"] if mark else []),
        "## Leaderboard\n",
        _leaderboard(rows, metrics, decimals),
        "\nIn brackets: 95% bootstrap interval over sessions, if there are several. Baselines in italics.\n",
        *_section("Verdicts", map(_plain, results.verdicts)),
        *_section("Findings", _findings(results.further_findings())),
        *_section("Notes", map(_plain, [*results.notes, *_model_notes(rows)])),
        *_titled("Differences, tested on the same cases", _differences(results.differences, decimals)),
        *_titled("Parts of the test cases", _slices(rows, metrics, decimals)),
        *_titled("Examples", _examples(results.examples)),
        "## The log, step by step\n",
        _statistics(results),
        "\n## Protocol\n",
        _table(["parameter", "value"], [[name, typed(value)] for name, value in results.protocol.items()]),
        "\n## All metrics\n",
        _all_metrics(rows),
    ]
    return "\n".join(parts) + "\n"


def _titled(title: str, body: str) -> list[str]:
    return [f"## {title}\n", body, ""] if body else []


def _differences(differences: Sequence[Difference], decimals: int) -> str:
    head = ["", "metric", "difference", "p, corrected", "real"]
    lines = [
        [
            _plain(f"{one.one} - {one.other}"),
            _plain(one.metric),
            f"{one.difference:+.{decimals}f} [{one.interval[0]:+.{decimals}f}, {one.interval[1]:+.{decimals}f}]",
            f"{one.adjusted:.4f}",
            "yes" if one.real else "may be chance",
        ]
        for one in differences
    ]
    return _table(head, lines) if lines else ""


def _slices(rows: Sequence[ModelResult], metrics: Sequence[str], decimals: int) -> str:
    sizes = part_sizes(rows)
    if not sizes:
        return ""
    metric, found = metrics[0], {(row.label, part.dimension, part.label): part for row in rows for part in row.slices}
    sliced = [row.label for row in rows if row.slices]
    lines = []
    for (dimension, label), cases in sizes.items():
        parts = (found.get((row, dimension, label)) for row in sliced)
        cells = (number(None if part is None else part.metrics.get(metric), decimals) for part in parts)
        lines.append([_plain(f"{dimension}: {label}"), f"{cases:,}", *cells])
    return f"{headed(metric)} of each part.\n\n" + _table(["part", "cases", *map(_plain, sliced)], lines)


def _examples(examples: Sequence[Example]) -> str:
    lines = []
    for example in examples:
        lines.append(
            f"- {' → '.join(map(_plain, example.session))} → **{' · '.join(map(_plain, few(example.target)))}**"
        )
        for label, items in example.lists.items():
            listed = (f"**{_plain(item)}**" if item in example.target else _plain(item) for item in items)
            lines.append(f"    - {_plain(label)}: {' · '.join(listed)}")
    return "\n".join(lines)


def _findings(findings: Sequence[Finding]) -> list[str]:
    return [_plain(f"{one.subject}: {one.message} ({one.severity} {one.code})") for one in by_severity(findings)]


def _plain(text: str) -> str:
    """Return a text with what Markdown and HTML would read into it taken away; lines become one."""
    text = re.sub(r"([\\`*\[\]~]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split()))
    text = re.sub(r"^([-+#>])", r"\\\1", text)
    text = re.sub(r"^(\d+)(?=[.)])", r"\1\\", text)
    return _without_tags(re.sub(r"&(?=#?\w+;)", "&amp;", text))


def _without_tags(text: str) -> str:
    """Return a text in which nothing begins a tag of HTML."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)


def _section(title: str, lines: Iterable[str]) -> list[str]:
    listed = [f"- {line}" for line in lines]
    return [f"## {title}\n", *listed, ""] if listed else []


def _model_notes(rows: Sequence[ModelResult]) -> list[str]:
    return [f"{row.label}: {note}" for row in rows for note in (*row.notes, row.ties) if note]


def _leaderboard(rows: Sequence[ModelResult], metrics: Sequence[str], decimals: int) -> str:
    head = ["model", *map(headed, metrics), "fit s", "evaluate s", "peak MB", "parameters", "ms per session"]
    lines = []
    for row in rows:
        name = f"*{_plain(row.label)}*" if row.baseline else f"**{_plain(row.label)}**"
        cells = [_with_interval(row, metric, decimals) for metric in metrics]
        memory = "unknown" if row.peak_memory_mb is None else f"{row.peak_memory_mb:,.0f}"
        costs = [f"{row.fit_seconds:.1f}", f"{row.evaluate_seconds:.1f}", memory]
        costs += [f"{row.parameters:,}", f"{row.latency_ms:.2f}"]
        lines.append([name, *cells, *costs])
    return _table(head, lines)


def _with_interval(row: ModelResult, metric: str, decimals: int) -> str:
    value = number(row.metrics[metric], decimals)
    if metric not in row.confidence:
        return value
    low, high = row.confidence[metric]
    return f"{value} [{number(low, decimals)}, {number(high, decimals)}]"


def _all_metrics(rows: Sequence[ModelResult]) -> str:
    names = list(rows[0].metrics)
    return _table(
        ["model", *names], [[_plain(row.label), *(shown(row.metrics[name]) for name in names)] for row in rows]
    )


def _statistics(results: Results) -> str:
    stages = results.data["stages"]
    names = [name for name in stages[0] if name not in ("step", "part", "why")]
    rows = [[name.replace("_", " "), *(shown(stage[name]) for stage in stages)] for name in names]
    return _table(["", *(f"{stage['part']}, {stage['step']}" for stage in stages)], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return _without_tags(text).replace("|", "\\|").replace("\n", " ")

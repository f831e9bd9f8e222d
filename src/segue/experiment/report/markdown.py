"""A run's results as Markdown, and how every report writes numbers."""

from collections.abc import Sequence
from math import isfinite

from segue.evaluation.linter.checks import Finding
from segue.experiment.candidates import SearchResult, best_first
from segue.experiment.report.factorisations import HEAD, training_note, training_rows
from segue.experiment.results import Difference, Example, ModelResult, Results
from segue.markdown import escaped, section, table
from segue.metrics import lower_is_better
from segue.parameters import flatten, typed

_SEVERITIES = ("error", "warning", "note")
_MAX_NAMES = 10


def sampled_candidates(results: Results) -> str | None:
    """Return the name of the sampled candidates; None if all items were ranked."""
    candidates: str = results.protocol["ranking"]["candidates"]
    return None if candidates in ("full", "labeled") else candidates


def headed(metric: str) -> str:
    """Return a metric as a heading, with a remark where lower values are better."""
    return f"{metric} (lower is better)" if lower_is_better(metric) else metric


def number(value: float | None, decimals: int) -> str:
    """Format a number with a number of decimal places; a dash if it is missing or not finite."""
    return "–" if value is None or not isfinite(value) else f"{value:.{decimals}f}"


def shown(value: object) -> str:
    """Return a statistic with four significant digits or thousands separators; a dash if it is missing."""
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def shortened(names: Sequence[str]) -> list[str]:
    """Return the first ten names, and how many more there are."""
    more = len(names) - _MAX_NAMES
    return list(names) if more <= 0 else [*names[:_MAX_NAMES], f"and {more} more"]


def part_sizes(rows: Sequence[ModelResult]) -> dict[tuple[str, str], int]:
    """Return the number of cases of each part, by dimension and label."""
    return {(part.dimension, part.label): part.cases for row in rows for part in row.slices}


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings, the most severe first."""
    return sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))


def markdown(results: Results) -> str:
    """Return the report as Markdown: leaderboard, differences, slices, examples, log, protocol, and all metrics."""
    rows, metrics, decimals = results.models, results.protocol["headline"], results.protocol.get("decimals", 4)
    mark = sampled_candidates(results)
    parts = [
        f"# {escaped(results.log)}\n",
        f"{results.data['test_cases']:,} test cases, protocol `{results.protocol['name']}`, "
        f"hash `{results.protocol['hash']}`, seed {results.seed}, "
        f"segue {results.segue}. Results with another hash are not comparable.\n",
        *([f"**Sampled ({mark}): targets are ranked among sampled items, not among all items.**\n"] if mark else []),
        *(f"**{escaped(str(finding))}**\n" for finding in results.doubts()),
        "## Leaderboard\n",
        _leaderboard(rows, metrics, decimals),
        "\nIn brackets: 95% bootstrap interval over sessions, if there are several. Baselines in italics.\n",
        *section("The search", _search(results.search, decimals)),
        *section("Verdicts", map(escaped, results.verdicts)),
        *section("Findings", _findings(results.further_findings())),
        *section("Notes", map(escaped, [*results.notes, *_model_notes(rows)])),
        *section("Differences between models", _differences(results.differences, decimals)),
        *section("Training of the factorisations", _training(results)),
        *section("Slices of the test cases", _slices(rows, metrics, decimals)),
        *section("Examples", _examples(results.examples)),
        *section("The log, step by step", _statistics(results)),
        *section(
            "Protocol",
            table(["parameter", "value"], [[name, typed(value)] for name, value in flatten(results.protocol).items()]),
        ),
        *section("All metrics", _all_metrics(rows)),
    ]
    return "\n".join(parts)


def search_rows(search: SearchResult, decimals: int) -> list[list[str]]:
    """Return what a search considered, best first: the model, its validation, its seconds, and what became of it."""
    return [
        [one.label, number(one.value if one.state == "trained" else None, decimals), f"{one.seconds:.1f}", one.outcome]
        for one in best_first(search.candidates)
    ]


def search_head(search: SearchResult) -> list[str]:
    """Return the heads of the columns of ``search_rows``."""
    return ["model", f"{search.metric}, validation", "fit s", "outcome"]


def _search(search: SearchResult | None, decimals: int) -> str:
    if search is None:
        return ""
    rows = [list(map(escaped, row)) for row in search_rows(search, decimals)]
    return "\n".join([*(f"- {escaped(one)}" for one in search.verdict), "", table(search_head(search), rows)])


def _differences(differences: Sequence[Difference], decimals: int) -> str:
    head = ["", "metric", "difference", "p, corrected", "significant"]
    lines = [
        [
            escaped(f"{one.one} - {one.other}"),
            escaped(one.metric),
            f"{one.difference:+.{decimals}f} [{one.interval[0]:+.{decimals}f}, {one.interval[1]:+.{decimals}f}]",
            f"{one.adjusted:.4f}",
            "yes" if one.significant else "no",
        ]
        for one in differences
    ]
    return table(head, lines) if lines else ""


def _training(results: Results) -> str:
    lines = [[escaped(cells[0]), *cells[1:]] for cells in training_rows(results.models)]
    return f"{training_note(results.data)}\n\n{table(HEAD, lines)}" if lines else ""


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
        lines.append([escaped(f"{dimension}: {label}"), f"{cases:,}", *cells])
    return f"{headed(metric)} of each part.\n\n" + table(["part", "cases", *map(escaped, sliced)], lines)


def _examples(examples: Sequence[Example]) -> str:
    lines = []
    for example in examples:
        lines.append(
            f"- {' → '.join(map(escaped, example.session))} → **{' · '.join(map(escaped, shortened(example.target)))}**"
        )
        for label, items in example.lists.items():
            listed = (f"**{escaped(item)}**" if item in example.target else escaped(item) for item in items)
            lines.append(f"    - {escaped(label)}: {' · '.join(listed)}")
    return "\n".join(lines)


def _findings(findings: Sequence[Finding]) -> list[str]:
    return [escaped(f"{one.subject}: {one.message} ({one.severity} {one.code})") for one in by_severity(findings)]


def _model_notes(rows: Sequence[ModelResult]) -> list[str]:
    return [f"{row.label}: {note}" for row in rows for note in (*row.notes, row.ties) if note]


def _leaderboard(rows: Sequence[ModelResult], metrics: Sequence[str], decimals: int) -> str:
    head = ["model", *map(headed, metrics), "fit s", "evaluate s", "peak MB", "parameters", "ms per session"]
    lines = []
    for row in rows:
        name = f"*{escaped(row.label)}*" if row.baseline else f"**{escaped(row.label)}**"
        cells = [_with_interval(row, metric, decimals) for metric in metrics]
        memory = "unknown" if row.peak_memory_mb is None else f"{row.peak_memory_mb:,.0f}"
        costs = [f"{row.fit_seconds:.1f}", f"{row.evaluate_seconds:.1f}", memory]
        costs += [f"{row.parameters:,}", f"{row.latency_ms:.2f}"]
        lines.append([name, *cells, *costs])
    return table(head, lines)


def _with_interval(row: ModelResult, metric: str, decimals: int) -> str:
    value = number(row.metrics[metric], decimals)
    if metric not in row.confidence:
        return value
    low, high = row.confidence[metric]
    return f"{value} [{number(low, decimals)}, {number(high, decimals)}]"


def _all_metrics(rows: Sequence[ModelResult]) -> str:
    names = list(rows[0].metrics)
    return table(
        ["model", *names], [[escaped(row.label), *(shown(row.metrics[name]) for name in names)] for row in rows]
    )


def _statistics(results: Results) -> str:
    stages = results.data["stages"]
    names = [name for name in stages[0] if name not in ("step", "part", "why")]
    rows = [[name.replace("_", " "), *(shown(stage[name]) for stage in stages)] for name in names]
    return table(["", *(f"{stage['part']}, {stage['step']}" for stage in stages)], rows)

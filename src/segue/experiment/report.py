"""A run's results as a page that people read: report.md."""

from collections.abc import Sequence
from pathlib import Path

from segue.experiment.results import ModelResult, Results
from segue.parameters import typed
from segue.storage import write_text


def write_report(results: Results, path: Path) -> None:
    """Write report.md.

    Raises:
        StorageError: the disk refused.
    """
    write_text(path, markdown(results))


def markdown(results: Results) -> str:
    """Return the report as Markdown: leaderboard, verdicts, protocol, data, notes."""
    parts = [
        f"# {results.log}\n",
        f"{results.data['test_cases']:,} test cases, protocol `{results.protocol['name']}`, "
        f"hash `{results.protocol['hash']}`, seed {results.seed}, "
        f"segue {results.segue}. Figures with another hash are not comparable.\n",
        "## Leaderboard\n",
        _leaderboard(results.models, results.protocol["headline"]),
        "\nIn brackets: 95% bootstrap interval over sessions, if there are several. Baselines in italics.\n",
        *_section("Verdicts", results.verdicts),
        *_section("Findings", [str(finding) for finding in results.unsaid_findings()]),
        *_section("Notes", [*results.notes, *_model_notes(results.models)]),
        "## The log, step by step\n",
        _statistics(results),
        "\n## Protocol\n",
        _table(["parameter", "value"], [[name, typed(value)] for name, value in results.protocol.items()]),
        "\n## All metrics\n",
        _all_metrics(results.models),
    ]
    return "\n".join(parts) + "\n"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}\n", *(f"- {line}" for line in lines), ""] if lines else []


def _model_notes(rows: Sequence[ModelResult]) -> list[str]:
    return [f"{row.label}: {note}" for row in rows for note in row.notes]


def _leaderboard(rows: Sequence[ModelResult], metrics: Sequence[str]) -> str:
    head = ["model", *metrics, "fit s", "evaluate s", "peak MB", "parameters", "ms per session"]
    lines = []
    for row in rows:
        name = f"*{row.label}*" if row.baseline else f"**{row.label}**"
        cells = [_with_interval(row, metric) for metric in metrics]
        costs = [f"{row.fit_seconds:.1f}", f"{row.evaluate_seconds:.1f}", f"{row.peak_memory_mb:,.0f}"]
        costs += [f"{row.parameters:,}", f"{row.latency_ms:.2f}"]
        lines.append([name, *cells, *costs])
    return _table(head, lines)


def _with_interval(row: ModelResult, metric: str) -> str:
    if metric not in row.confidence:
        return f"{row.metrics[metric]:.4f}"
    low, high = row.confidence[metric]
    return f"{row.metrics[metric]:.4f} [{low:.4f}, {high:.4f}]"


def _all_metrics(rows: Sequence[ModelResult]) -> str:
    names = list(rows[0].metrics)
    return _table(["model", *names], [[row.label, *(f"{row.metrics[name]:.4g}" for name in names)] for row in rows])


def _statistics(results: Results) -> str:
    stages = results.data["stages"]
    names = [name for name in stages[0] if name not in ("step", "part", "why")]
    rows = [[name.replace("_", " "), *(_shown(stage[name]) for stage in stages)] for name in names]
    return _table(["", *(f"{stage['part']}, {stage['step']}" for stage in stages)], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)

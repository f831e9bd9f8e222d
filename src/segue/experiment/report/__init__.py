"""A run's results as pages that people read: report.md and a self-contained report.html."""

from pathlib import Path

from segue.experiment.report.markdown import markdown
from segue.experiment.report.page import page
from segue.experiment.results import Results
from segue.experiment.run_folder import PAGE, REPORT
from segue.storage import write_text


def write_reports(results: Results, out: Path) -> None:
    """Write report.md and report.html into the folder of a run; equal results give equal files.

    Raises:
        StorageError: the write failed.
    """
    write_text(out / REPORT, markdown(results))
    write_text(out / PAGE, page(results))

"""Kinds of folder that a command may find at the path that it is to write, and which commands may write there.

Each builder gets an empty directory and makes ``out`` in it, the path that is written, and whatever else belongs to it.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Builder = Callable[[Path, Path], None]

NEW = frozenset(
    (
        *("run", "run --resume", "run --overwrite", "tune", "tune --resume", "tune --overwrite", "distill --overwrite"),
        *("best", "best --resume", "best --overwrite"),
        *("prepare", "prepare --overwrite", "fit", "fit --overwrite", "add-items", "add-items --overwrite", "demo"),
        *("Model.save", "Dataset.save"),
    )
)
"""Every command; each may write where nothing is."""
RUN = frozenset(("run --resume", "run --overwrite", "distill --overwrite", "best --overwrite"))
SEARCH = frozenset(("tune --resume", "tune --overwrite"))
MODEL = frozenset(("fit --overwrite", "add-items --overwrite", "Model.save"))
DATA = frozenset(("prepare --overwrite", "Dataset.save"))
NONE: frozenset[str] = frozenset()

LOCK = "segue run\n4194305\nhost\n2026-01-01 00:00:00"
"""Content of the lock file of a process that is gone."""

LISTED = dict.fromkeys(("config.json", "items.parquet", "arrays.safetensors", "../elsewhere/a.jpg"), "0")


@dataclass(frozen=True)
class FolderCase:
    """A kind of folder.

    Attributes:
        build: makes it, given the directory and the folder of what segue wrote.
        allowed: the commands that may write there.
        kept: what they leave as it is.
    """

    build: Builder
    allowed: frozenset[str]
    kept: tuple[str, ...] = ()


KINDS: dict[str, FolderCase] = {}


def kind(allowed: frozenset[str] = NONE, *kept: str) -> Callable[[Builder], Builder]:
    def register(build: Builder) -> Builder:
        KINDS[build.__name__] = FolderCase(build, allowed, kept)
        return build

    return register


def write(path: Path, text: str = "precious\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def copy(made: Path, name: str, to: Path) -> Path:
    return Path(shutil.copytree(made / name, to, symlinks=True))


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def link_aside(path: Path, aside: Path) -> None:
    """Move something aside and leave a link to it."""
    aside.parent.mkdir(exist_ok=True)
    path.rename(aside)
    path.symlink_to(aside, target_is_directory=aside.is_dir())


@kind(NEW)
def nothing(place: Path, made: Path) -> None:
    write(place / "train.py")


@kind(NEW)
def empty(place: Path, made: Path) -> None:
    (place / "out").mkdir()


@kind(NEW)
def empty_and_private(place: Path, made: Path) -> None:
    (place / "out").mkdir()
    (place / "out").chmod(0o700)


@kind(NEW)
def empty_but_for_a_killed_write(place: Path, made: Path) -> None:
    (place / "out").mkdir()
    (place / ".segue-unfinished-out-01234567" / "new").mkdir(parents=True)
    (place / ".segue-unfinished-out-01234567" / "owner.lock").touch()


@kind(NEW)
def empty_but_for_the_lock_of_a_killed_run(place: Path, made: Path) -> None:
    write(place / "out" / ".segue-lock", LOCK)


@kind()
def empty_but_for_what_is_named_like_a_lock(place: Path, made: Path) -> None:
    write(place / "out" / ".segue-lock")


@kind()
def empty_but_for_what_is_named_like_a_killed_write(place: Path, made: Path) -> None:
    write(place / "out" / ".segue-unfinished-photos-01234567" / "a.jpg")


@kind()
def photos(place: Path, made: Path) -> None:
    write(place / "out" / "a.jpg")


@kind()
def a_web_application(place: Path, made: Path) -> None:
    write(place / "out" / "manifest.json", '{"name": "Shop", "short_name": "shop", "icons": []}')
    write(place / "out" / "index.html")


@kind()
def a_browser_extension(place: Path, made: Path) -> None:
    write(place / "out" / "manifest.json", '{"manifest_version": 3, "name": "segue", "version": "1"}')


@kind()
def another_programs_artifact(place: Path, made: Path) -> None:
    manifest = {"format": 1, "model": "gru4rec", "about": {"result": {}}, "sha256": {"config.json": "0"}}
    write(place / "out" / "manifest.json", json.dumps(manifest))
    write(place / "out" / "config.json", "{}")


@kind()
def another_programs_data_set(place: Path, made: Path) -> None:
    write(place / "out" / "dataset.json", '{"format": 1, "sha256": {}}')
    write(place / "out" / "items.parquet")


@kind()
def another_programs_run(place: Path, made: Path) -> None:
    write(place / "out" / "run.json", '{"run": {}, "models": {}}')
    write(place / "out" / "results.json", "{}")


@kind()
def the_mlruns_of_a_training_script(place: Path, made: Path) -> None:
    write(place / "out" / "train.py")
    write(place / "out" / "mlruns" / "0" / "meta.yaml")


@kind()
def the_checkpoints_of_a_training_script(place: Path, made: Path) -> None:
    write(place / "out" / "train.py")
    write(place / "out" / "checkpoints" / "model.safetensors")


@kind()
def a_report(place: Path, made: Path) -> None:
    write(place / "out" / "report.md")
    write(place / "out" / "report.html")


@kind()
def the_cases_of_a_lawyer(place: Path, made: Path) -> None:
    write(place / "out" / "cases" / "smith.parquet")


@kind()
def a_repository(place: Path, made: Path) -> None:
    write(place / "out" / ".git" / "HEAD")


@kind()
def a_folder_of_runs(place: Path, made: Path) -> None:
    copy(made, "run", place / "out" / "run-1")


@kind()
def a_file(place: Path, made: Path) -> None:
    write(place / "out")


@kind()
def a_pipe(place: Path, made: Path) -> None:
    os.mkfifo(place / "out")


@kind()
def a_link_to_an_empty_folder(place: Path, made: Path) -> None:
    (place / "elsewhere").mkdir()
    (place / "out").symlink_to("elsewhere")


@kind()
def a_link_to_nothing(place: Path, made: Path) -> None:
    (place / "out").symlink_to("elsewhere")


@kind()
def a_link_to_itself(place: Path, made: Path) -> None:
    (place / "out").symlink_to("out")


@kind()
def a_link_to_a_file(place: Path, made: Path) -> None:
    (place / "out").symlink_to(write(place / "elsewhere"))


@kind()
def a_link_to_a_run(place: Path, made: Path) -> None:
    (place / "out").symlink_to(copy(made, "run", place / "v3"))


@kind()
def a_link_to_a_model(place: Path, made: Path) -> None:
    (place / "out").symlink_to(copy(made, "model", place / "v3"))


@kind()
def a_link_to_a_data_set(place: Path, made: Path) -> None:
    (place / "out").symlink_to(copy(made, "data", place / "v3"))


@kind()
def a_link_to_a_search(place: Path, made: Path) -> None:
    (place / "out").symlink_to(copy(made, "search", place / "v3"))


@kind(RUN)
def a_run(place: Path, made: Path) -> None:
    copy(made, "run", place / "out")


@kind(RUN)
def a_run_with_read_only_files(place: Path, made: Path) -> None:
    for file in copy(made, "run", place / "out").rglob("*.json"):
        file.chmod(0o400)


@kind(RUN, "out/notes.md", "out/pictures", "out/link")
def a_run_with_notes(place: Path, made: Path) -> None:
    out = copy(made, "run", place / "out")
    write(out / "notes.md")
    write(out / "pictures" / "a.png")
    (out / "link").symlink_to("pictures")


@kind(RUN, "out/production", "out/saved", "out/app")
def a_run_with_other_models(place: Path, made: Path) -> None:
    out = copy(made, "run", place / "out")
    copy(made, "model", out / "saved")
    copy(made, "production", out / "production")
    a_web_application(out, made)
    (out / "out").rename(out / "app")


@kind()
def a_run_with_notes_among_its_cases(place: Path, made: Path) -> None:
    write(copy(made, "run", place / "out") / "cases" / "notes.md")


@kind(RUN)
def a_run_with_the_lock_of_a_killed_run(place: Path, made: Path) -> None:
    write(copy(made, "run", place / "out") / ".segue-lock", LOCK)
    write(place / "out" / "popularity" / ".segue-lock", LOCK)


@kind()
def a_run_with_what_is_named_like_a_lock_among_its_cases(place: Path, made: Path) -> None:
    write(copy(made, "run", place / "out") / "cases" / ".segue-lock-photos")


@kind()
def a_run_with_an_empty_folder_among_its_cases(place: Path, made: Path) -> None:
    (copy(made, "run", place / "out") / "cases" / "mine").mkdir()


@kind()
def a_run_with_notes_in_a_model(place: Path, made: Path) -> None:
    write(copy(made, "run", place / "out") / "popularity" / "NOTES.md")


@kind()
def a_run_whose_cases_are_a_link(place: Path, made: Path) -> None:
    link_aside(copy(made, "run", place / "out") / "cases", place / "elsewhere")


@kind()
def a_run_with_a_link_among_its_cases(place: Path, made: Path) -> None:
    (copy(made, "run", place / "out") / "cases" / "x.parquet").symlink_to(write(place / "elsewhere"))


@kind()
def a_run_whose_report_is_a_link(place: Path, made: Path) -> None:
    link_aside(copy(made, "run", place / "out") / "report.md", place / "elsewhere")


@kind()
def a_run_whose_run_json_is_a_link(place: Path, made: Path) -> None:
    link_aside(copy(made, "run", place / "out") / "run.json", place / "elsewhere")


@kind()
def a_run_whose_model_is_a_link(place: Path, made: Path) -> None:
    link_aside(copy(made, "run", place / "out") / "popularity", place / "elsewhere")


@kind()
def a_run_whose_report_is_a_folder(place: Path, made: Path) -> None:
    out = copy(made, "run", place / "out")
    (out / "report.md").unlink()
    write(out / "report.md" / "a.txt")


@kind()
def a_run_whose_model_was_saved_in_python(place: Path, made: Path) -> None:
    out = copy(made, "run", place / "out")
    shutil.rmtree(out / "popularity")
    copy(made, "model", out / "popularity")


@kind()
def a_run_of_another_version(place: Path, made: Path) -> None:
    change(copy(made, "run", place / "out") / "run.json", format=2)


@kind()
def a_run_without_run_json(place: Path, made: Path) -> None:
    (copy(made, "run", place / "out") / "run.json").unlink()


@kind()
def a_run_with_half_a_run_json(place: Path, made: Path) -> None:
    file = copy(made, "run", place / "out") / "run.json"
    file.write_text(file.read_text()[:-20])


@kind()
def a_run_json_that_lists_photos(place: Path, made: Path) -> None:
    change(copy(made, "run", place / "out") / "run.json", files=["run.json", "photos"])
    write(place / "out" / "photos" / "a.jpg")


@kind()
def a_run_json_that_lists_what_is_elsewhere(place: Path, made: Path) -> None:
    change(copy(made, "run", place / "out") / "run.json", files=["run.json", "../elsewhere"])
    write(place / "elsewhere" / "a.jpg")


@kind(RUN)
def a_run_killed_in_its_first_save(place: Path, made: Path) -> None:
    out = copy(made, "run", place / "out")
    for path in out.iterdir():
        if path.name != "run.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    write(out / ".segue-unfinished-popularity-01234567" / "new" / "config.json")
    (out / ".segue-unfinished-popularity-01234567" / "owner.lock").touch()


@kind(MODEL)
def a_model(place: Path, made: Path) -> None:
    copy(made, "model", place / "out").chmod(0o750)


@kind(MODEL)
def a_model_with_a_damaged_file(place: Path, made: Path) -> None:
    (copy(made, "model", place / "out") / "items.parquet").write_text("")


@kind(MODEL)
def a_model_with_the_lock_of_a_killed_run(place: Path, made: Path) -> None:
    write(copy(made, "model", place / "out") / ".segue-lock", LOCK)


@kind()
def a_model_with_what_is_named_like_a_lock(place: Path, made: Path) -> None:
    write(copy(made, "model", place / "out") / ".segue-lock")


@kind()
def a_model_with_notes(place: Path, made: Path) -> None:
    write(copy(made, "model", place / "out") / "NOTES.md")


@kind()
def a_model_with_a_folder(place: Path, made: Path) -> None:
    (copy(made, "model", place / "out") / "mine").mkdir()


@kind()
def a_model_with_a_link(place: Path, made: Path) -> None:
    link_aside(copy(made, "model", place / "out") / "config.json", place / "elsewhere")


@kind()
def a_model_of_another_version(place: Path, made: Path) -> None:
    change(copy(made, "model", place / "out") / "manifest.json", format=2)


@kind()
def a_model_without_manifest(place: Path, made: Path) -> None:
    (copy(made, "model", place / "out") / "manifest.json").unlink()


@kind()
def a_model_with_half_a_manifest(place: Path, made: Path) -> None:
    file = copy(made, "model", place / "out") / "manifest.json"
    file.write_text(file.read_text()[:-20])


@kind(DATA)
def a_data_set(place: Path, made: Path) -> None:
    copy(made, "data", place / "out")


@kind(DATA)
def a_data_set_with_the_lock_of_a_killed_run(place: Path, made: Path) -> None:
    write(copy(made, "data", place / "out") / "train" / ".segue-lock", LOCK)


@kind()
def a_data_set_with_notes(place: Path, made: Path) -> None:
    write(copy(made, "data", place / "out") / "train" / "notes.txt")


@kind()
def a_data_set_with_a_link(place: Path, made: Path) -> None:
    link_aside(copy(made, "data", place / "out") / "train", place / "elsewhere")


@kind()
def a_data_set_without_manifest(place: Path, made: Path) -> None:
    (copy(made, "data", place / "out") / "dataset.json").unlink()


@kind(SEARCH)
def a_search(place: Path, made: Path) -> None:
    copy(made, "search", place / "out")


@kind(SEARCH, "out/notes.md")
def a_search_with_notes(place: Path, made: Path) -> None:
    write(copy(made, "search", place / "out") / "notes.md")


@kind()
def a_search_whose_chart_is_a_link(place: Path, made: Path) -> None:
    link_aside(copy(made, "search", place / "out") / "history.svg", place / "elsewhere")


@kind()
def a_search_without_run_json(place: Path, made: Path) -> None:
    (copy(made, "search", place / "out") / "run.json").unlink()


@kind(frozenset(("distill --overwrite",)), "out/popularity")
def a_run_in_the_way_of_whose_model_is_a_folder(place: Path, made: Path) -> None:
    out = copy(made, "run", place / "out")
    shutil.rmtree(out / "popularity")
    names = json.loads((out / "run.json").read_text(encoding="utf-8"))["files"]
    change(out / "run.json", files=[name for name in names if name != "popularity"])
    write(out / "popularity" / "a.jpg")


@kind(MODEL, "elsewhere")
def a_model_whose_manifest_lists_what_is_elsewhere(place: Path, made: Path) -> None:
    change(copy(made, "model", place / "out") / "manifest.json", sha256=LISTED)
    write(place / "elsewhere" / "a.jpg")


@kind()
def a_manifest_that_is_a_pipe(place: Path, made: Path) -> None:
    (place / "out").mkdir()
    for name in ("manifest.json", "dataset.json", "run.json"):
        os.mkfifo(place / "out" / name)


@kind()
def a_data_set_of_another_version(place: Path, made: Path) -> None:
    change(copy(made, "data", place / "out") / "dataset.json", format=0)

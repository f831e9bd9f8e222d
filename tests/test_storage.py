import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from segue import storage
from segue.errors import ArtifactError, ClusterError, LogError, StorageError
from segue.storage import (
    append_line,
    check_file,
    filesystem,
    is_locked,
    locked,
    locks,
    make_folder,
    read_unchanged,
    remove,
    replacing_file,
    replacing_folder,
    write_text,
)
from segue.storage.claims import claimed
from segue.storage.filesystem import exchange
from segue.storage.locks import Lock
from segue.storage.scratch import is_unfinished
from segue.storage.work import work_folder

FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np, polars as pl
from segue.artifact import Artifact
from segue.data.vocabulary import Vocabulary
from segue.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
table = pl.DataFrame({"item": [1, 2], "support": [3, 4]})
artifact = Artifact("toy", {}, Vocabulary(table), {"w": np.full(100_000, 2.0)})
try:
    artifact.write(Path(sys.argv[1]))
except StorageError as error:
    print(error)
"""

WRITER = """
import itertools, sys
from pathlib import Path
from segue.storage import replacing_folder, write_text
folder = Path(sys.argv[1])
for number in itertools.count():
    with replacing_folder(folder / "model") as scratch:
        (scratch / "inner").mkdir()
        for name in ("a", "b", "inner/c"):
            (scratch / name).write_text(f"{number}\\n" * 2000)
    write_text(folder / "text", f"{number}\\n" * 2000)
    if number == 0:
        print("ready", flush=True)
"""

HOLDER = """
import sys
from pathlib import Path
from segue.storage import locked
with locked(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""

needs_exchange = pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="needs two renames on this system")


def writer(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def only_number(text: str) -> int:
    """Return the number in each line of a file that is complete."""
    lines = text.splitlines()
    assert len(lines) == 2000
    assert len(set(lines)) == 1
    return int(lines[0])


def read_model(folder: Path) -> int:
    """Return the number in all files of a model folder; fail if they are of different writes."""
    try:
        (number,) = {only_number((folder / name).read_text()) for name in ("a", "b", "inner/c")}
    except (OSError, ValueError) as error:
        raise ArtifactError("missing or mixed") from error
    return number


def test_a_text_is_written_atomically(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "a.txt", "first")
    write_text(tmp_path / "deep" / "a.txt", "second\n")
    assert (tmp_path / "deep" / "a.txt").read_bytes() == b"second\n"
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["a.txt"]
    (tmp_path / "plain").touch()
    assert (tmp_path / "deep" / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")

    def fail() -> None:
        with replacing_file(file) as scratch:
            scratch.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left on device"):
        fail()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("atomic", [True, False])
def test_a_folder_is_replaced_or_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, atomic: bool) -> None:
    if not atomic:
        monkeypatch.setattr(storage, "exchange", lambda one, other: False)
    folder = tmp_path / "model"
    with replacing_folder(folder) as scratch:
        (scratch / "one").write_text("1")
    with replacing_folder(folder) as scratch:
        (scratch / "two").write_text("2")
    assert [file.name for file in folder.iterdir()] == ["two"]

    def fail() -> None:
        with replacing_folder(folder) as scratch:
            (scratch / "three").write_text("3")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert [file.name for file in folder.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [folder]


@needs_exchange
def test_two_folders_are_exchanged_in_one_step(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / os.fsdecode("ähnlich".encode())
    one.mkdir()
    other.mkdir()
    (one / "x").touch()
    assert exchange(one, other)
    assert (other / "x").exists()
    assert not (one / "x").exists()
    with pytest.raises(FileNotFoundError):
        exchange(one, tmp_path / "missing")


@needs_exchange
def test_no_reader_finds_a_folder_missing_or_half_written_while_it_is_replaced(tmp_path: Path) -> None:
    process = writer(tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        seen, end = [], time.monotonic() + 3
        while time.monotonic() < end:
            for _ in range(200):
                (tmp_path / "model").stat()  # Raises where nothing is at the path for a moment.
            seen.append(read_unchanged(tmp_path / "model", read_model))
            only_number((tmp_path / "text").read_text())
        assert process.poll() is None
    finally:
        kill(process)
    assert len(set(seen)) > 10
    assert seen == sorted(seen)


def test_a_killed_writer_leaves_the_old_or_the_new_content_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(6)]
    left, draw = 0, random.Random(0)
    for _ in range(3):
        processes = [writer(folder) for folder in folders]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            time.sleep(draw.uniform(0, 0.05))
            kill(process)
        for folder in folders:
            read_model(folder / "model")
            only_number((folder / "text").read_text())
            scratch = [path for path in folder.iterdir() if is_unfinished(path)]
            assert {path.name for path in folder.iterdir() if path not in scratch} == {"model", "text"}
            assert len(scratch) <= 2  # One per path: those of the killed writers before are gone.
            left += len(scratch)
    assert left
    for folder in folders:
        write_text(folder / "text", "done")
        with replacing_folder(folder / "model"):
            pass
        assert {path.name for path in folder.iterdir()} == {"model", "text"}


def test_a_writer_leaves_the_scratch_folders_of_others_that_are_at_work(tmp_path: Path) -> None:
    with replacing_file(tmp_path / "a") as first:
        first.write_text("first")
        with replacing_file(tmp_path / "a") as second, replacing_file(tmp_path / "a-b") as neighbour:
            second.write_text("second")
            neighbour.write_text("neighbour")
        assert (tmp_path / "a").read_text() == "second"
    assert (tmp_path / "a").read_text() == "first"
    assert (tmp_path / "a-b").read_text() == "neighbour"
    assert len(list(tmp_path.iterdir())) == 2


def test_many_threads_write_one_path(tmp_path: Path) -> None:
    failures = []

    def write(number: int) -> None:
        try:
            for _ in range(5):
                with replacing_folder(tmp_path / "model") as scratch:
                    (scratch / "number").write_text(str(number))
        except StorageError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (tmp_path / "model" / "number").read_text() in "0123"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("moment", ["before", "between", "after"])
@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_folder_is_there_whenever_two_renames_are_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException, moment: str
) -> None:
    folder, rename = tmp_path / "model", Path.rename
    with replacing_folder(folder) as scratch:
        (scratch / "old").touch()

    def interrupted(self: Path, target: Path) -> None:
        if self == folder:
            monkeypatch.setattr(Path, "rename", rename)
            if moment != "before":
                rename(self, target)
            if moment == "after":
                rename(target.with_name("new"), folder)
            raise stop
        rename(self, target)

    def replace() -> None:
        with replacing_folder(folder) as scratch:
            (scratch / "new").touch()
            monkeypatch.setattr(storage, "exchange", lambda one, other: False)
            monkeypatch.setattr(Path, "rename", interrupted)

    with pytest.raises((KeyboardInterrupt, StorageError)):
        replace()
    assert [file.name for file in folder.iterdir()] == ["new" if moment == "after" else "old"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_of_a_writer_killed_between_two_renames_is_put_back_by_the_next_one(tmp_path: Path) -> None:
    room = tmp_path / ".segue-unfinished-model-01234567"
    for name in ("old", "new"):
        (room / name).mkdir(parents=True)
        (room / "owner.lock").touch()
        (room / name / name).touch()

    def fail() -> None:
        with replacing_folder(tmp_path / "model"):
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["new"]


def test_directory_entries_are_brought_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(storage, "sync_directory", synced.append)
    monkeypatch.setattr(filesystem, "sync_directory", synced.append)
    make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]
    synced.clear()
    append_line(tmp_path / "log", "one")
    append_line(tmp_path / "log", "two")
    write_text(tmp_path / "text", "text")
    assert synced == [tmp_path, tmp_path]
    synced.clear()
    with replacing_folder(tmp_path / "model") as scratch:
        (scratch / "inner").mkdir()
    assert synced == [scratch / "inner", scratch, tmp_path]
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no directory can be synced there")
def test_a_directory_that_cannot_be_read_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(filesystem.os, "fsync", refuse)
    code = 22
    filesystem.sync_directory(tmp_path)
    code = 5
    with pytest.raises(OSError, match="Input/output"):
        filesystem.sync_directory(tmp_path)


@pytest.mark.parametrize("fails", [True, False])
def test_a_reader_reads_again_what_was_replaced_meanwhile(tmp_path: Path, fails: bool) -> None:
    folder, attempts = tmp_path / "model", []
    folder.mkdir()

    def read(path: Path) -> str:
        attempts.append(path)
        if len(attempts) == 1:
            with replacing_folder(folder) as scratch:
                (scratch / "new").touch()
            if fails:
                raise ArtifactError("mixed")
            return "old"
        return "whole"

    assert read_unchanged(folder, read) == "whole"
    assert len(attempts) == 2

    def damaged(path: Path) -> str:
        attempts.append(path)
        raise ArtifactError("damaged")

    with pytest.raises(ArtifactError, match="damaged"):
        read_unchanged(folder, damaged)
    assert len(attempts) == 3


def test_a_lock_is_free_again_once_its_process_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert not is_locked(path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert is_locked(path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)
    assert not is_locked(path)


def test_a_link_is_removed_and_not_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder", target_is_directory=True)
    remove(tmp_path / "link")
    assert (tmp_path / "folder" / "file").exists()
    remove(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"results\.json: cannot be written"):
        write_text(tmp_path / "file" / "results.json", json.dumps({}))


def test_a_full_disk_leaves_no_half_artifact(tmp_path: Path) -> None:
    target = tmp_path / "model"
    python = (sys.executable, "-B", "-c")  # the modules that Python compiles would be cut off as well
    done = subprocess.run([*python, FULL_DISK, str(target)], capture_output=True, text=True, check=True)
    assert f"{target}: cannot be written" in done.stdout
    assert "Free some disk space" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_vanishes_while_it_is_opened_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer removes the folder, which it takes for abandoned, just when its lock file is opened."""
    acquire, folders = Lock.acquire, []

    def vanishing(lock: Lock, *, create: bool = True) -> bool:
        folders.append(lock.path.parent)
        if len(folders) == 1:
            folders[0].rmdir()
        return acquire(lock, create=create)

    monkeypatch.setattr(Lock, "acquire", vanishing)
    write_text(tmp_path / "a", "text")
    assert (tmp_path / "a").read_text() == "text"
    assert len(set(folders)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("again", [True, False])
def test_a_lock_of_a_file_that_was_removed_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """A holder removes the lock file between the moment that another one opens it and the moment that it locks it."""
    holder, other, lock_it = Lock(tmp_path / "a.lock"), Lock(tmp_path / "a.lock"), locks._lock
    third = Lock(tmp_path / "a.lock")
    assert holder.acquire()

    def late(file: int) -> bool:
        monkeypatch.setattr(locks, "_lock", lock_it)
        holder.release(remove=True)
        if again:
            assert third.acquire()
        return lock_it(file)

    monkeypatch.setattr(locks, "_lock", late)
    assert other.acquire() is not again
    assert not Lock(tmp_path / "a.lock").acquire()
    third.release()
    other.release()
    assert Lock(tmp_path / "a.lock").acquire()


def test_a_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Lock(tmp_path / "link").acquire()
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_lock_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be read and not written, and neither can another one be created."""
    held = Lock(tmp_path / "held.lock")
    assert held.acquire()
    (tmp_path / "stale.lock").touch()
    opened = os.open

    def read_only(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(13, os.strerror(13))
        return opened(path, flags, mode)

    monkeypatch.setattr(locks.os, "open", read_only)
    assert not Lock(tmp_path / "held.lock").acquire()
    for name in ("stale.lock", "new.lock"):
        with pytest.raises(PermissionError):
            Lock(tmp_path / name).acquire()
    assert [path.name for path in tmp_path.iterdir()] == ["held.lock"]


def test_what_was_written_to_a_lock_file_is_not_lost_to_those_who_try(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "a.lock")
    assert lock.acquire()
    lock.write(b"a long first line")
    lock.write(b"mine")
    assert not Lock(tmp_path / "a.lock").acquire()
    assert (tmp_path / "a.lock").read_bytes() == b"mine"


def test_a_file_system_without_locks_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(file: int) -> bool:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(locks, "_lock", none)
    write_text(tmp_path / "a", "text")
    with claimed(tmp_path / "out", "segue run", lambda: None):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_links_are_neither_followed_nor_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    for name in ("file", "folder", "nothing"):
        link = tmp_path / f"link to {name}"
        link.symlink_to(name)
        writes = (
            partial(write_text, link, "text"),
            partial(append_line, link, "text"),
            partial(check_file, link),
            replacing_folder(link).__enter__,
        )
        for write in writes:
            with pytest.raises(StorageError, match=f"is a link to {name}, which segue neither follows nor replaces"):
                write()
    assert (tmp_path / "file").read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 5


def test_a_file_is_checked_before_the_work(tmp_path: Path) -> None:
    check_file(tmp_path / "new")
    check_file(tmp_path / "deep" / "new")
    for path in (tmp_path, tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(StorageError, match="cannot be written"):
            check_file(path)
    assert list(tmp_path.iterdir()) == []


def test_a_replaced_folder_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model").chmod(0o750)
    with replacing_folder(tmp_path / "model") as scratch:
        (scratch / "a").touch()
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "model" / "a").exists()


def test_the_folder_of_a_killed_writer_is_put_back_by_a_write_of_another_path(tmp_path: Path) -> None:
    room = tmp_path / ".segue-unfinished-model-01234567"
    for name in ("old", "new"):
        (room / name).mkdir(parents=True)
        (room / "owner.lock").touch()
        (room / name / name).touch()
    write_text(tmp_path / "a", "text")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["new"]
    assert {path.name for path in tmp_path.iterdir()} == {"model", "a"}


def test_what_others_named_alike_is_left_alone(tmp_path: Path) -> None:
    thesis = tmp_path / ".segue-unfinished-my-notes-20260101" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("mine")
    (tmp_path / ".segue-locked-notes.md").write_text("mine")
    (tmp_path / ".segue-lock-notes").write_text("mine")
    (tmp_path / ".segue-unfinished-model-0a1b2c3d").mkdir()  # Of a writer that was killed before it took its lock.
    (tmp_path / ".segue-lock-model").write_text("segue run\n4711\nhost\n2026-01-01 00:00:00")
    write_text(tmp_path / "file", "new")
    assert thesis.read_text() == "mine"
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"file", thesis.parent.name, ".segue-locked-notes.md", ".segue-lock-notes"}


def test_work_of_a_lost_cluster_is_kept(tmp_path: Path) -> None:
    for error, kept in ((ClusterError("the head of the cluster is gone"), True), (LogError("no column 'item'"), False)):
        with pytest.raises(type(error)), work_folder(tmp_path / "work", {"log": "clicks"}):
            raise error
        assert (tmp_path / "work").exists() == kept


def test_unfinished_work_of_another_version_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, left in (("0.1.0", 0), ("0.1.0", 1), ("0.2.0", 0)):
        monkeypatch.setattr("segue.storage.work.__version__", version)
        with pytest.raises(KeyboardInterrupt), work_folder(tmp_path / "work", {"log": "clicks"}) as work:  # noqa: PT012
            assert len(list(work.glob("result"))) == left
            (work / "result").write_text("finished")
            raise KeyboardInterrupt


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_work_that_was_being_removed_is_not_used(removed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter(range(removed))

    def killed_later(path: Path) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        path.rmdir() if path.is_dir() else path.unlink()

    with monkeypatch.context() as patched:
        patched.setattr("segue.storage.work.remove", killed_later)
        with pytest.raises(KeyboardInterrupt), work_folder(tmp_path / "work", {"log": "clicks"}) as work:  # noqa: PT012
            for name in "ab":
                (work / name).write_text("finished")
    with work_folder(tmp_path / "work", {"log": "clicks"}) as work:
        assert {path.name for path in work.iterdir()} == {"work.json"}
    assert not (tmp_path / "work").exists()


def test_an_empty_folder_is_used_for_work(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with work_folder(tmp_path / "work", {"log": "clicks"}) as work:
        assert (work / "work.json").is_file()

"""``millisight classify --move-into``: pictures in folders of their classes, none lost."""

import json
import os
import shutil
import signal
from pathlib import Path

import click
import pytest

from millisight.cli.classify import classify
from millisight.errors import DataError, NotWritten
from millisight.sorting import Mover, folder_names
from tests import models
from tests.cli.conftest import Run
from tests.cli.test_commands import fails
from tests.cli.test_folders import interrupt, many, paths, read  # noqa: F401
from tests.support import encode, texture


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Two pictures of one name, a damaged one and a link."""
    folder = tmp_path / "inbox"
    (folder / "deeper").mkdir(parents=True)
    picture = encode(texture(300, 200, 1), "JPEG")
    (folder / "a.jpg").write_bytes(picture)
    (folder / "deeper" / "a.jpg").write_bytes(picture)
    (folder / "broken.jpg").write_bytes(picture[:2000])
    (folder / "link.jpg").symlink_to("a.jpg")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """Every file, but for links, and what it holds."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_pictures_go_into_folders_of_their_classes_as_the_dry_run_shows(
    run: Run, inbox: Path, tmp_path: Path
) -> None:
    before = tree(tmp_path)
    target = inbox / "sorted"  # Not walked again, though it is in the folder that is.
    command = ("classify", inbox, "--move-into", target)
    shown = run(*command, "--dry-run")
    assert shown.returncode == 3
    assert tree(tmp_path) == before
    assert not target.exists()
    done = run(*command)
    fails(done, 3, "broken.jpg: The picture cannot be read", "link.jpg is not moved: It is a link")
    assert (done.stdout, done.stderr) == (shown.stdout, shown.stderr)
    first, second = (line.split(" → ") for line in done.stdout.splitlines())
    assert first[0] == str(inbox / "a.jpg")
    assert Path(first[1]).name == "a.jpg"
    assert second == [str(inbox / "deeper" / "a.jpg"), first[1].replace("a.jpg", "a-2.jpg")]
    moved = {second[1]: second[0], first[1]: first[0]}
    for now, then in moved.items():
        assert Path(now).read_bytes() == before[str(Path(then).relative_to(tmp_path))]
    assert sorted(tree(inbox)) == sorted(
        ["broken.jpg", *(str(Path(path).relative_to(inbox)) for path in moved)]
    )


def test_nothing_is_overwritten_and_what_is_sorted_stays(
    run: Run, inbox: Path, tmp_path: Path
) -> None:
    target = tmp_path / "sorted"
    [line] = run("classify", inbox / "a.jpg", "--move-into", target).stdout.splitlines()
    sorted_to = Path(line.split(" → ")[1])
    sorted_to.write_bytes(b"something of mine")
    output = tmp_path / "results.csv"
    done = run("classify", inbox / "deeper", "--move-into", target, "--output", output)
    assert done.returncode == 0, done.stderr
    [row] = read(output)
    assert row["moved_to"] == str(sorted_to.with_name("a-2.jpg"))
    assert sorted_to.read_bytes() == b"something of mine"
    before = tree(target)
    again = run("classify", sorted_to.with_name("a-2.jpg"), "--move-into", target)
    assert again.returncode == 0
    assert tree(target) == before


def test_what_the_model_is_uncertain_about_has_a_folder_of_its_own(
    run: Run, inbox: Path, tmp_path: Path
) -> None:
    models.build(tmp_path / "home", "unsure", "my", confidence=models.CONFIDENCE)
    target = tmp_path / "sorted"
    command = ("classify", inbox / "a.jpg", "--model", "unsure", "--move-into", target, "--json")
    body = json.loads(run(*command).stdout)
    assert body["uncertain"] is True
    assert body["moved_to"] == str(target / "uncertain" / "a.jpg")
    assert sorted(tree(target)) == ["uncertain/a.jpg"]


def test_folder_names_are_unique_and_lead_nowhere_else() -> None:
    labels = ["cat", "crane", "crane", "uncertain", "../etc/x", ".", "", "a/b", "a\nb"]
    names = ["cat", "crane 1", "crane 2", "uncertain 3", "_._etc_x", "_ 5", "_ 6", "a_b 7", "a_b 8"]
    assert folder_names(labels) == names


def test_a_name_with_an_index_is_not_the_name_of_another_class() -> None:
    for labels in (["a", "a", "a 0"], ["a 1", "a", "a"], ["uncertain", "uncertain 0"]):
        names = folder_names(labels)
        assert len({*names, "uncertain"}) == len(labels) + 1
        assert folder_names(labels) == names


@pytest.mark.parametrize("kind", ["itself", "outside", "through a link", "upwards", "no text"])
def test_a_note_that_came_with_a_folder_removes_nothing(inbox: Path, kind: str) -> None:
    mine, copied = inbox / "a.jpg", inbox / "deeper" / "a.jpg"
    received = inbox.parent / "received"
    (received / "cat").mkdir(parents=True)
    (received / "link").symlink_to(inbox)
    notes: dict[str, list[object]] = {
        "itself": [str(mine), str(mine)],
        "outside": [str(copied), str(mine)],
        "through a link": [str(mine), str(received / "link" / "a.jpg")],
        "upwards": [str(copied), str(received / "cat" / ".." / ".." / "inbox" / "a.jpg")],
        "no text": [1, None],
    }
    (received / ".millisight-moving").write_text(json.dumps(notes[kind]))
    before = tree(inbox)
    with Mover(received, ["cat"]):
        pass
    assert tree(inbox) == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_stopped_run_goes_on_and_every_picture_is_moved_once(
    run: Run,
    many: Path,  # noqa: F811
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    output, target = tmp_path / "results.jsonl", tmp_path / "sorted"
    arguments: list[object] = ["classify", many, "--output", output, "--move-into", target]
    every = sorted(path.name for path in many.rglob("*.png"))

    def begun() -> bool:
        return output.exists() and output.read_bytes().count(b"\n") > 20

    interrupt(arguments, number, begun, {"MILLISIGHT_HOME": str(tmp_path / "home")})
    assert 20 < len(paths(output)) < 120
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert sorted(Path(path).name for path in paths(output)) == every
    assert sorted(path.name for path in target.rglob("*") if path.is_file()) == every
    assert tree(many) == {}
    for row in read(output):
        assert Path(row["moved_to"]).exists()


@pytest.mark.parametrize("taken_down", [True, False])
def test_a_move_that_was_half_done_is_finished_or_undone(
    inbox: Path, tmp_path: Path, taken_down: bool
) -> None:
    target = tmp_path / "sorted"
    source = inbox / "a.jpg"
    content = source.read_bytes()
    with Mover(target, ["cat"]) as mover:
        place = mover.place(source, 0, uncertain=False)
        # The process is killed here, or after the result was written.
    with Mover(target, ["cat"], (str(source), str(place)) if taken_down else None):
        assert (source.exists(), place.exists()) == (not taken_down, taken_down)
    assert (place if taken_down else source).read_bytes() == content
    assert list(target.glob(".*")) == []


def test_one_process_at_a_time_moves_pictures_into_a_folder(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLISIGHT_HOME", str(tmp_path / "home"))
    target = tmp_path / "sorted"
    command = [str(inbox), "--move-into", str(target)]
    with Mover(target, ["cat"]) as mover:
        place = mover.place(inbox / "a.jpg", 0, uncertain=False)
        with pytest.raises(NotWritten, match=f"Another process is moving pictures into {target}"):
            classify.main(command, standalone_mode=False)
        mover.settle(inbox / "a.jpg", place)
    assert place.exists()
    with Mover(target, ["cat"]):
        pass


def test_what_a_crash_left_of_a_copy_is_removed(inbox: Path, tmp_path: Path) -> None:
    source, target = inbox / "a.jpg", tmp_path / "sorted"
    content = source.read_bytes()
    with Mover(target, ["cat"]) as mover:
        place = mover.place(source, 0, uncertain=False)
    draft = place.with_name(".millisight-draft")
    place.rename(draft)
    place.touch()  # Where there are no links, this keeps the name while the copy gets it.
    with Mover(target, ["cat"]) as mover:
        assert list(place.parent.iterdir()) == []
        assert mover.place(source, 0, uncertain=False) == place
    place.rename(draft)
    with Mover(target, ["cat"]):
        assert list(place.parent.iterdir()) == []
    assert source.read_bytes() == content


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every folder")
def test_what_cannot_be_taken_out_of_its_folder_stays_there_alone(
    run: Run, inbox: Path, tmp_path: Path
) -> None:
    source, target = inbox / "a.jpg", tmp_path / "sorted"
    with Mover(target, ["cat"]) as mover:
        place = mover.place(source, 0, uncertain=False)
    inbox.chmod(0o500)
    try:
        with (
            Mover(target, ["cat"], (str(source), str(place))) as mover,
            pytest.raises(DataError, match="cannot be taken out of its folder"),
        ):
            mover.place(source, 0, uncertain=False)
        fails(run("classify", source, "--move-into", target), 3, "so it stays there")
        assert [source.exists(), *tree(target)] == [True, "cat/a.jpg"]
    finally:
        inbox.chmod(0o700)


def test_a_folder_is_not_sorted_into_itself(inbox: Path) -> None:
    before = tree(inbox)
    command = [str(inbox), "--move-into", str(inbox / "deeper" / "..")]
    with pytest.raises(click.UsageError, match=r"the same folder: name another one"):
        classify.main(command, standalone_mode=False)
    assert tree(inbox) == before


def test_pictures_are_moved_to_another_file_system(run: Run, inbox: Path) -> None:
    memory = Path("/dev/shm")  # noqa: S108
    if not memory.is_dir() or memory.stat().st_dev == inbox.stat().st_dev:
        pytest.skip("there is no second file system here")
    target = memory / f"millisight-test-{os.getpid()}"
    picture = inbox / "a.jpg"
    content, time = picture.read_bytes(), picture.stat().st_mtime_ns
    try:
        done = run("classify", picture, inbox / "deeper", "--move-into", target)
        assert done.returncode == 0, done.stderr
        [first, second] = sorted(path for path in target.rglob("*") if path.is_file())
        assert (first.name, second.name) == ("a-2.jpg", "a.jpg")
        assert (second.read_bytes(), second.stat().st_mtime_ns) == (content, time)
        assert sorted(tree(inbox)) == ["broken.jpg"]
    finally:
        shutil.rmtree(target)


def test_what_cannot_be_done_is_said_in_plain_words(run: Run, inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("classify", inbox, "--move-into", tmp_path / "file" / "sorted")
    fails(done, 1, "Pictures cannot be moved into", "--move-into")
    fails(run("classify", inbox, "--dry-run"), 2, "--dry-run goes with --move-into")
    fails(run("classify", inbox, "--move-into", tmp_path / "file"), 2, "is a file")
    assert len(tree(inbox)) == 3

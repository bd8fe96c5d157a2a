"""The settings file after tune: its own lines new, all others as they were."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight.errors import SettingsError
from millisight.record import BEGIN, END, TUNED, Run, block, cpu_model, merge, rows_of, write
from millisight.tuning import Arrangement, Choice, Findings, Load, Measurement, Split

USUAL = Arrangement(Split(1, 2), 4)
PAIR = Arrangement(Split(2, 1), 8)
SLOW = Arrangement(Split(1, 1), 1)
BEST = Measurement(Load(PAIR, 8), 400, 330.25, 24.04, 31.5)
CHOICE = Choice(BEST, "It is fast.")
RUN = Run(
    date="2026-01-02 03:04 UTC",
    machine="a CPU; cores: 2 of\nthis machine's 2",
    model="resnet18",
    load="photographs",
    limit_ms=40,
    findings=Findings(
        USUAL,
        [
            Measurement(Load(SLOW, 2), 10, 100, 9, 12),
            Measurement(Load(SLOW, 8), 20, 120, 19, 22),
            Measurement(Load(PAIR, 8), 30, 300, 25, 33),
        ],
        [Measurement(Load(USUAL, 1), 99, 240, 4, 5), BEST],
    ),
)
BLOCK = block(RUN, CHOICE)

tails = st.text(st.characters(codec="utf-8", categories=["L", "N", "Zs"]), max_size=8)
lines = st.one_of(
    st.just(""),
    tails.map("# {}".format),
    st.sampled_from(["port = 9000", 'host = "::"  # all', "workers = 3", "# threads = 1", END]),
    st.sampled_from(['"max_batch"=2', " threads  = 0  # mine", "max_batch_more = 1"]),
)


def test_the_block_says_what_was_measured_where_and_what_came_of_it() -> None:
    text = "\n".join(BLOCK)
    assert text == (
        "# --- millisight tune: from here to the end mark, replaced by its next run\n"
        "# date: 2026-01-02 03:04 UTC\n"
        "# machine: a CPU; cores: 2 of this machine's 2\n"
        "# model: resnet18\n"
        "# load: photographs\n"
        "# goal: most images a second with p99 within 40 ms\n"
        "#  look  workers  threads  max_batch  clients  images  images/s  p50 ms  p99 ms\n"
        "# first        1        1          1        8      20     120.0    19.0    22.0\n"
        "#  last        1        2          4        1      99     240.0     4.0     5.0\n"
        "#  last        2        1          8        8     400     330.2    24.0    31.5\n"
        "# It is fast.\n"
        "workers = 2\n"
        "threads = 1\n"
        "max_batch = 8\n"
        "# --- millisight tune: end"
    )
    assert len(rows_of(RUN)) == 3


def test_an_empty_file_gets_the_block_alone() -> None:
    assert merge("", BLOCK) == "\n".join([*BLOCK, ""])


def test_other_lines_stay_and_what_is_replaced_goes() -> None:
    before = "# mine\nthreads = 1 # why\nport = 9000\n# threads = 7\n\n\n"
    after = merge(before, BLOCK)
    assert after == "\n".join(["# mine", "port = 9000", "# threads = 7", "", *BLOCK, ""])


def test_the_next_run_takes_the_place_of_the_last_one() -> None:
    old = [BEGIN, "# date: old", "workers = 9", "threads = 9", "# a note", "max_batch = 9", END]
    before = "\n".join(["port = 1", *old, "# next to it", "", "host = 'a'  # b", ""])
    after = ["port = 1", *BLOCK, "# next to it", "", "host = 'a'  # b", ""]
    assert merge(before, BLOCK) == "\n".join(after)


def test_a_block_that_people_edited_loses_nothing_of_theirs() -> None:
    old = [BEGIN, "# date: old", "port = 1  # mine", "workers = 9", "", "# theirs", "host = 'a'"]
    after = merge("\n".join(old), BLOCK)
    assert after == "\n".join([*BLOCK, "port = 1  # mine", "", "# theirs", "host = 'a'"])


@given(st.lists(lines), st.booleans())
def test_whatever_stood_there_nothing_is_lost_or_doubled(before: list[str], ended: bool) -> None:
    text = "\n".join(before) + "\n" * ended
    once = merge(text, BLOCK)
    assert merge(once, BLOCK) == once
    assert once.count(BEGIN) == 1
    mine = [
        line
        for line in before
        if line.split("=")[0].strip().strip('"') not in TUNED and line.strip()
    ]
    rest = [line for line in once.replace("\n".join(BLOCK), "").split("\n") if line.strip()]
    assert rest == mine


def test_the_file_appears_with_its_folder_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "new" / "settings.toml"
    write(path, RUN, CHOICE)
    assert tomllib.loads(path.read_text()) == {"workers": 2, "threads": 1, "max_batch": 8}
    assert list(path.parent.iterdir()) == [path]


def test_a_linked_file_keeps_its_link_its_mode_and_its_letters(tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_bytes("# größer\r\nport = 9000\r\nworkers = 1\r\n".encode())
    real.chmod(0o640)
    link = tmp_path / "settings.toml"
    link.symlink_to(real)
    write(link, RUN, CHOICE)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert real.read_bytes().startswith("# größer\r\nport = 9000\r\n\n# ---".encode())
    assert tomllib.loads(real.read_text()) == {
        "port": 9000,
        "workers": 2,
        "threads": 1,
        "max_batch": 8,
    }


@pytest.mark.parametrize(
    "before",
    [
        'model = """\nthreads = 1\n"""\n',
        'threads = """\nauto"""\n',
        "[table]\nport = 1\n",
        "port = \n",
    ],
)
def test_a_file_that_lines_cannot_change_is_left_alone(tmp_path: Path, before: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(before)
    with pytest.raises(SettingsError, match="in a way that tune cannot change") as caught:
        write(path, RUN, CHOICE)
    assert "Take workers, threads, max_batch out of it" in caught.value.hint
    assert path.read_text() == before


def test_where_it_cannot_be_written_the_settings_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"file.settings\.toml cannot be written") as caught:
        write(tmp_path / "file" / "settings.toml", RUN, CHOICE)
    assert caught.value.hint == (
        "Without it: millisight serve --workers 2 --threads 1 --max-batch 8"
    )


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.mkdir()
    (path / "something").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        write(path, RUN, CHOICE)
    assert list(tmp_path.iterdir()) == [path]


def test_the_cpu_has_a_name_wherever_it_stands(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    assert cpu_model(cpuinfo)
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp\n")
    assert cpu_model(cpuinfo) == cpu_model(tmp_path / "none")
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU \n")
    assert cpu_model(cpuinfo) == "Some CPU"

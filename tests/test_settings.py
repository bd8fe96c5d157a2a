"""Settings: flag over environment over file over default; nothing unknown or wrong gets in."""

import os
from pathlib import Path

import pytest

from millisight.errors import SettingsError
from millisight.settings import Settings, load_settings
from millisight.sources import given_settings, settings_file


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's own settings file is looked for; not there yet, nor is its folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "millisight" / "settings.toml"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings({"config": str(path)}, {})
    return caught.value


def test_defaults_hold_where_nothing_is_said() -> None:
    settings = load_settings(environ={})
    assert (settings.host, settings.port, settings.model) == ("127.0.0.1", 8000, ("auto",))
    assert (settings.max_upload_mb, settings.deadline_ms, settings.max_wait_ms) == (10, 5000, 0)


def test_a_flag_wins_over_the_environment_which_wins_over_the_default() -> None:
    environ = {"MILLISIGHT_PORT": "9000", "MILLISIGHT_MAX_BATCH": "4", "OTHER": "x"}
    settings = load_settings({"port": "9001", "host": None}, environ)
    assert (settings.port, settings.max_batch, settings.host) == (9001, 4, "127.0.0.1")


@pytest.mark.parametrize(
    ("flags", "environ", "words"),
    [
        ({"threads": True}, {}, "threads cannot be True (option --threads): It is not a switch."),
        ({}, {"MILLISIGHT_PROT": "1"}, "no setting prot (environment variable MILLISIGHT_PROT)"),
        ({"port": "99999"}, {}, "port cannot be '99999' (option --port)"),
        ({"max_batch": "0"}, {}, "max_batch cannot be '0' (option --max-batch)"),
        ({}, {"MILLISIGHT_PORT": ""}, "port cannot be '' (environment variable MILLISIGHT_PORT)"),
        ({"log_level": "loud"}, {}, "log_level cannot be 'loud'"),
        ({"threads": 1.5}, {}, "threads cannot be 1.5"),
    ],
)
def test_what_is_wrong_is_refused_by_name_and_origin(
    flags: dict[str, object], environ: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(flags, environ)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_misspelt_name_is_answered_with_the_nearest_right_one() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {"MILLISIGHT_MAX_BACH": "4"})
    assert caught.value.hint == "Did you mean MILLISIGHT_MAX_BATCH?"
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {"MILLISIGHT_CONFG": "a.toml"})
    assert caught.value.hint == "Did you mean MILLISIGHT_CONFIG?"
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {"MILLISIGHT_ZZZZZZ": "4"})
    assert "Known settings: home, model" in caught.value.hint


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ({"log_format": "jsn"}, "Did you mean json?"),
        ({"log_level": "warn"}, "Did you mean warning?"),
        ({"log_level": "loud"}, "Least severe message that is logged."),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest_right_one(
    said: dict[str, str], hint: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(said, {})
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("word", "on"),
    [("on", True), ("true", True), ("1", True), ("off", False), ("false", False), ("no", False)],
)
def test_a_switch_is_what_it_says(word: str, on: bool, tmp_path: Path) -> None:
    assert load_settings({}, {"MILLISIGHT_ACCESS_LOG": word}).access_log is on
    file = write(tmp_path / "mine.toml", f"access_log = {str(on).lower()}")
    assert load_settings({"config": str(file)}, {}).access_log is on
    with pytest.raises(SettingsError, match="access_log cannot be 'maybe'"):
        load_settings({}, {"MILLISIGHT_ACCESS_LOG": "maybe"})


def test_several_models_are_a_list_or_a_text_with_commas(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.toml", 'model = ["a, b", "c"]')
    assert load_settings({"config": str(file)}, {}).model == ("a, b", "c")
    assert load_settings({}, {"MILLISIGHT_MODEL": "a, b,c"}).model == ("a", "b", "c")
    assert load_settings({"model": ("a,b", "c")}, {}).model == ("a,b", "c")
    for nothing in ("", " , "):
        with pytest.raises(SettingsError, match="Setting model cannot be"):
            load_settings({}, {"MILLISIGHT_MODEL": nothing})


def test_settings_do_not_change_once_made() -> None:
    settings = load_settings(environ={})
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_every_setting_has_help() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_file_wins_over_the_default_and_nothing_else(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.toml", 'port = 1\nmax_batch = 2\nmax_queue = 3\nhost = "::1"\n')
    environ = {"MILLISIGHT_CONFIG": str(file), "MILLISIGHT_MAX_BATCH": "20"}
    settings = load_settings({"max_queue": "30", "deadline_ms": None}, environ)
    taken = (settings.port, settings.max_batch, settings.max_queue, settings.host)
    assert taken == (1, 20, 30, "::1")
    assert settings.deadline_ms == 5000


def test_a_file_named_by_the_option_wins_over_one_named_by_the_environment(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.toml", "port = 1"), write(tmp_path / "b.toml", "port = 2")
    environ = {"MILLISIGHT_CONFIG": str(second)}
    assert load_settings({"config": None}, environ).port == 2
    assert load_settings({"config": str(first)}, environ).port == 1
    assert settings_file({"config": str(first)}, environ) == first


def test_the_users_own_file_is_read_where_no_other_is_named(own_file: Path, tmp_path: Path) -> None:
    assert settings_file(environ={}) == own_file
    assert load_settings(environ={}).port == 8000
    write(own_file, "port = 1")
    assert load_settings(environ={}).port == 1
    other = write(tmp_path / "other.toml", "")
    assert load_settings({"config": str(other)}, {}).port == 8000


def test_where_each_value_was_said_is_known(own_file: Path) -> None:
    write(own_file, "port = 1\nmax_batch = 2\nmax_queue = 3")
    given = given_settings({"max_queue": "30"}, {"MILLISIGHT_MAX_BATCH": "20"})
    assert {setting: (one.value, one.origin) for setting, one in given.items()} == {
        "port": (1, f"file {own_file}"),
        "max_batch": ("20", "environment variable MILLISIGHT_MAX_BATCH"),
        "max_queue": ("30", "option --max-queue"),
    }


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("max_bach = 4", "no setting max_bach (file {file})", "Did you mean max_batch?"),
        ('config = "x.toml"', "no setting config (file {file})", "Known settings: home, model"),
        ("[server]\nport = 1", "no setting server (file {file})", "Known settings"),
        ("port = 99999", "port cannot be 99999 (file {file})", "Port to listen on"),
        ("port = [1]", "port cannot be [1] (file {file})", "Port to listen on"),
        ("max_batch = true", "max_batch cannot be True (file {file}): It is not a switch.", "Most"),
        ("port 8000", "{file} is not TOML", "port = 8000"),
        ("port = 1\nport = 2", "{file} is not TOML", "port = 8000"),
    ],
)
def test_what_is_wrong_in_a_file_is_refused_by_name_and_file(
    tmp_path: Path, text: str, words: str, hint: str
) -> None:
    file = write(tmp_path / "mine.toml", text)
    error = refusal(file)
    assert words.format(file=file) in error.message
    assert hint in error.hint


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    assert "mine.toml is not TOML" in refusal(tmp_path / "mine.toml").message


@pytest.mark.parametrize("there", [False, True])
def test_a_file_that_is_named_must_be_one(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "mine.toml"
    if there:
        path.mkdir()
    reason = "Is a directory" if there else "No such file or directory"
    error = refusal(path)
    assert error.message == f"Settings file {path} cannot be read (option --config): {reason}."
    assert "--config" in error.hint


def test_an_own_file_that_is_there_must_be_readable(own_file: Path) -> None:
    own_file.mkdir(parents=True)
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_settings(environ={})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_a_home_that_is_closed_to_the_server_has_no_file_for_it(own_file: Path) -> None:
    write(own_file, "port = 1")
    own_file.parent.chmod(0)
    try:
        assert load_settings(environ={}).port == 8000
        assert "Permission denied" in refusal(own_file).message
    finally:
        own_file.parent.chmod(0o700)


@pytest.mark.parametrize("home", ["a-file", "x" * 300])
def test_a_home_that_can_be_no_folder_has_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    write(tmp_path / "a-file", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / home))
    assert load_settings(environ={}).port == 8000


def test_a_tilde_is_the_users_home_in_a_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = write(tmp_path / "mine.toml", 'home = "~/store"')
    assert load_settings({"config": str(file)}, {}).home == tmp_path / "store"


@pytest.mark.parametrize("word", ["auto", "0", 0])
def test_a_count_may_be_left_to_millisight(word: object) -> None:
    settings = load_settings({"workers": word, "threads": word}, {})
    assert (settings.workers, settings.threads) == (0, 0)

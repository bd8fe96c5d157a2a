"""Settings: flag over environment over default, and nothing unknown or wrong gets in."""

import pytest

from millisight.errors import SettingsError
from millisight.settings import Settings, load_settings


def test_defaults_hold_where_nothing_is_said() -> None:
    settings = load_settings(environ={})
    assert (settings.host, settings.port, settings.model) == ("127.0.0.1", 8000, "auto")
    assert (settings.max_upload_mb, settings.deadline_ms, settings.max_wait_ms) == (10, 5000, 0)


def test_a_flag_wins_over_the_environment_which_wins_over_the_default() -> None:
    environ = {"MILLISIGHT_PORT": "9000", "MILLISIGHT_MAX_BATCH": "4", "OTHER": "x"}
    settings = load_settings({"port": "9001", "host": None}, environ)
    assert (settings.port, settings.max_batch, settings.host) == (9001, 4, "127.0.0.1")


@pytest.mark.parametrize(
    ("flags", "environ", "words"),
    [
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
    assert caught.value.hint == "Did you mean max_batch?"
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {"MILLISIGHT_ZZZZZZ": "4"})
    assert "Known settings: home, model" in caught.value.hint


def test_settings_do_not_change_once_made() -> None:
    settings = load_settings(environ={})
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_every_setting_has_help() -> None:
    assert all(field.description for field in Settings.model_fields.values())

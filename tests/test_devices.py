"""The devices that are here, and a plain word about those that are not."""

import json
import os
from functools import partial
from pathlib import Path

import pytest

from millisight.bundle import open_bundle
from millisight.classifier import Classifier
from millisight.devices import check_device, find_devices
from millisight.errors import DeviceNotFound
from millisight.settings import load_settings
from tests import command
from tests.support import encode, texture

run = partial(command.run, os.environ)


def test_the_cpu_is_always_there() -> None:
    listed = json.loads(run("devices", "--json").stdout)
    assert "CPU" in [one["name"] for one in listed]
    assert "FP32" in listed[0]["capabilities"]
    assert [one.name for one in find_devices()] == [one["name"] for one in listed]
    assert "CPU  " in run("devices").stdout


def test_auto_answers_as_the_cpu_does() -> None:
    picture = encode(texture(300, 260), "JPEG")
    answers = []
    for device in ("CPU", "auto"):
        settings = load_settings({"device": device}, {})
        with Classifier(open_bundle("starter", settings.home), settings) as classifier:
            answers.append([one.index for one in classifier.classify(picture).predictions])
    assert answers[0] == answers[1]


@pytest.mark.parametrize("command", [("classify", "photo.jpg"), ("serve", "--port", "0")])
def test_a_device_that_is_not_there_is_refused(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(encode(texture(300, 260), "JPEG"))
    done = run(*command, "--device", "NPU.7", "--model", "starter")
    assert done.returncode == 2
    assert "There is no device NPU.7 here." in done.stderr
    assert "OpenVINO finds CPU" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_first_of_several_answers_to_the_name_of_their_kind() -> None:
    check_device("CPU")
    with pytest.raises(DeviceNotFound):
        check_device("GPU.9")


def test_what_is_no_name_of_a_device_is_refused() -> None:
    done = run("classify", "photo.jpg", "--device", "the fast one")
    assert done.returncode == 2
    assert "device cannot be" in done.stderr

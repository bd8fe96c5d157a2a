"""Serving on a machine without any network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import running
from tests.support import encode, texture

CLIENT = """
import pathlib, sys, httpx
url, picture = sys.argv[1:]
for path in ("/", "/static/page.js", "/docs", "/openapi.json", "/model", "/health/ready"):
    httpx.get(url + path).raise_for_status()
answer = httpx.post(url + "/predict", files={"file": pathlib.Path(picture).read_bytes()})
print(answer.raise_for_status().json()["predictions"][0]["label"])
"""


@pytest.fixture
def without_network() -> tuple[str, ...]:
    """A prefix that runs a command where there is a loopback interface and no other."""
    missing = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and util-linux and iproute2 (missing: {missing})")
    prefix = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system allows no network namespaces")
    return prefix


def test_everything_is_served_without_a_network(
    tmp_path: Path, without_network: tuple[str, ...]
) -> None:
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(encode(texture(400, 300), "JPEG"))
    with running(tmp_path, prefix=without_network) as server:
        process = server.process.pid
        interfaces = Path(f"/proc/{process}/net/dev").read_text().splitlines()[2:]
        assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
        enter = ["nsenter", f"--net=/proc/{process}/ns/net", sys.executable, "-c", CLIENT]
        done = subprocess.run(
            [*enter, server.url, str(picture)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()

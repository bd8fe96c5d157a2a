"""Object stores on this machine: servers that speak as S3 and as Google's Cloud Storage do."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.scale.cluster import BIN, LOCAL, Cluster, free_port


def put(folder: Path, address: str) -> None:
    """Copy ``folder`` there, in place of what is there."""
    import fsspec

    system, path = fsspec.url_to_fs(address)
    for file in folder.iterdir():
        system.put_file(str(file), f"{path}/{file.name}")


@contextmanager
def s3(log: Path) -> Iterator[dict[str, str]]:
    """One that speaks S3: the variables by which every AWS client finds it."""
    port = free_port()
    with _running([BIN / "moto_server", "-H", LOCAL, "-p", str(port)], port, log):
        yield {
            "AWS_ENDPOINT_URL": f"http://{LOCAL}:{port}",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "no secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def gcs(log: Path) -> Iterator[dict[str, str]]:
    """One that speaks Google's: the variables by which gcsfs finds it and asks for no rights."""
    port = free_port()
    start = ["gcp-storage-emulator", "start", f"--host={LOCAL}", f"--port={port}", "--in-memory"]
    with _running([BIN / start[0], *start[1:]], port, log):
        yield {
            "STORAGE_EMULATOR_HOST": f"http://{LOCAL}:{port}",
            "FSSPEC_GS_TOKEN": "anon",
            # What kind of bucket it is, gcsfs would ask by gRPC, for a minute; read at its import.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }


@contextmanager
def _running(command: list[Path | str], port: int, log: Path) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        Cluster.wait_for(lambda: _answers(process, port, log), str(command[0]), 60)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _answers(process: "subprocess.Popen[bytes]", port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-5000:]
    with suppress(OSError), socket.create_connection((LOCAL, port), timeout=1):
        return True
    return False

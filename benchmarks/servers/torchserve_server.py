"""TorchServe with its stock image classifier, one worker a core.

    python torchserve_server.py PORT

Needs Java 17. Packs the model into an archive as its documentation says, then becomes TorchServe.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from labels import labels

BIN = Path(sys.executable).parent
MODEL_FILE = """
from torchvision.models.resnet import BasicBlock, ResNet


class ImageClassifier(ResNet):
    def __init__(self):
        super().__init__(BasicBlock, [2, 2, 2, 2])
"""


def pack(folder: Path) -> None:
    """The archive ``resnet18.mar`` in ``folder``."""
    names = {str(index): label for index, label in enumerate(labels())}
    (folder / "index_to_name.json").write_text(json.dumps(names))
    (folder / "model.py").write_text(MODEL_FILE)
    subprocess.run(
        [BIN / "torch-model-archiver", "--model-name", "resnet18", "--version", "1.0",
         "--model-file", folder / "model.py", "--handler", "image_classifier",
         "--serialized-file", os.environ["BENCHMARK_WEIGHTS"],
         "--extra-files", folder / "index_to_name.json", "--export-path", folder],
        check=True,
    )  # fmt: skip


def configure(folder: Path, port: int) -> Path:
    """The settings file: addresses, and one worker a core as its performance guide advises."""
    addresses = zip(("inference", "management", "metrics"), range(port, port + 3), strict=True)
    lines = [f"{name}_address=http://127.0.0.1:{number}" for name, number in addresses]
    lines += [
        f"grpc_inference_port={port + 3}",
        f"grpc_management_port={port + 4}",
        f"default_workers_per_model={os.environ['BENCHMARK_CORES']}",
        "disable_token_authorization=true",
        "default_response_timeout=30",
    ]
    path = folder / "config.properties"
    path.write_text("\n".join(lines) + "\n")
    return path


if __name__ == "__main__":
    work = Path(tempfile.mkdtemp(prefix="torchserve-"))
    pack(work)
    settings = configure(work, int(sys.argv[1]))
    # Its workers are processes of their own: one thread each, like the other contestants.
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "LOG_LOCATION": str(work),
               "METRICS_LOCATION": str(work),
               "PATH": f"{BIN}:{os.environ['PATH']}"}  # fmt: skip
    os.chdir(work)
    os.execve(
        BIN / "torchserve",
        ["torchserve", "--start", "--foreground", "--model-store", str(work),
         "--models", "resnet18=resnet18.mar", "--ts-config", str(settings)],
        environ,
    )  # fmt: skip

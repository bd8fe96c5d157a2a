"""What the benchmark's contestants share finds in a bundle what millisight finds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import millisight
from millisight.bundle import starter_path

SERVERS = Path(__file__).parents[1] / "benchmarks" / "servers"

ANSWER = """
import json, sys
from pathlib import Path
from network import Labels, Network, decode
pixels = decode(Path(sys.argv[1]).read_bytes())
print(json.dumps(Labels().answer(Network(1).infer(pixels[None])[0])))
"""


def test_what_the_contestants_share_answers_as_millisight_does(samples: Path) -> None:
    photograph = samples / "0010_n01530575_brambling.jpg"
    environ = {**os.environ, "BENCHMARK_BUNDLE": str(starter_path()), "BENCHMARK_CORES": "1"}
    found = subprocess.run(
        [sys.executable, "-c", ANSWER, photograph],
        cwd=SERVERS, env=environ, check=True, capture_output=True, text=True,
    )  # fmt: skip
    best = json.loads(found.stdout)["predictions"][0]
    with millisight.load() as classifier:
        expected = classifier.classify(photograph.read_bytes()).predictions[0]
    assert (best["label"], best["index"]) == (expected.label, expected.index)
    assert abs(best["confidence"] - expected.confidence) < 0.15

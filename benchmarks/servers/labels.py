"""The class names of the bundle that every contestant serves, or at least names its classes by."""

import json
import os
from pathlib import Path


def labels() -> list[str]:
    """In the order of the logits; the environment's ``BENCHMARK_BUNDLE`` says where."""
    text = (Path(os.environ["BENCHMARK_BUNDLE"]) / "labels.json").read_text("utf-8")
    names: list[str] = json.loads(text)["labels"]
    return names

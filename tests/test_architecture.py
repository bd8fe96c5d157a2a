"""What holds for the whole package: budgets, borders, public names."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import millisight

ROOT = Path(millisight.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 40

BUILDING_ONLY = ("torch", "torchvision", "nncf", "onnx", "sklearn", "skimage", "scipy", "jinja2")


def functions(module: Path) -> list[tuple[str, int]]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return [
        (node.name, (node.end_lineno or 0) - node.body[0].lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_readable(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES
    assert [name for name, lines in functions(module) if lines > MAX_FUNCTION_LINES] == []


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after ``statement``."""
    code = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import millisight", "import millisight.server", "import millisight.cli"]
)
def test_the_serving_half_needs_nothing_of_the_building_half(statement: str) -> None:
    assert loaded_by(statement).isdisjoint(BUILDING_ONLY)


@pytest.mark.parametrize(
    "statement", ["import millisight", "import millisight.server", "import millisight.cli"]
)
def test_what_only_an_extra_needs_is_not_loaded_before(statement: str) -> None:
    assert loaded_by(statement).isdisjoint(
        {"pyarrow", "usearch", "numkong", "grpc", "google", "ray", "fsspec"}
    )


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import millisight; millisight.Client; millisight.AsyncClient", {"httpx2", "tenacity"}),
        ("import millisight; millisight.Client('http://localhost').ready()", set()),
    ],
    ids=["named", "used"],
)
def test_a_client_loads_nothing_that_answers(statement: str, absent: set[str]) -> None:
    answering = {"numpy", "openvino", "PIL", "pydantic", "fastapi", "uvicorn", "blake3"}
    assert loaded_by(statement).isdisjoint(answering | absent)


def test_a_client_names_the_extra_that_it_needs() -> None:
    code = (
        "import sys; sys.modules['tenacity'] = None\n"
        "import millisight\n"
        "for kind in (millisight.Client, millisight.AsyncClient):\n"
        "    try: kind('http://localhost')\n"
        "    except millisight.MillisightError as error: print(error.code, error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("extra_missing") == done.stdout.count("'millisight[client]'") == 2


def test_answering_imports_neither_torch_nor_telemetry() -> None:
    code = (
        "import millisight\n"
        "with millisight.load('starter') as classifier:\n"
        "    import numpy\n"
        "    classifier.classify(numpy.zeros((8, 8), numpy.uint8))\n"
        "import sys\n"
        "print(*(name.split('.')[0] for name, module in sys.modules.items() if module))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint({*BUILDING_ONLY, "openvino_telemetry"})


def test_without_a_collector_nothing_is_loaded_to_send_traces() -> None:
    code = (
        "from millisight.bundle import open_bundles\n"
        "from millisight.server import create_app\n"
        "from millisight.settings import load_settings\n"
        "settings = load_settings({}, {})\n"
        "create_app(open_bundles(settings.model, settings.home), settings)\n"
        "import sys\n"
        "print(*(name for name in sys.modules if name.startswith('opentelemetry.')))"
    )
    nowhere = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=nowhere, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert "opentelemetry.trace" in loaded
    assert [name for name in loaded if ".sdk" in name or ".exporter" in name] == []


def test_importing_does_nothing_but_define() -> None:
    assert "openvino" not in loaded_by("import millisight")


def test_public_names_are_these() -> None:
    assert millisight.__all__ == [
        "AsyncClient",
        "Classifier",
        "Client",
        "MillisightError",
        "Prediction",
        "Result",
        "__version__",
        "load",
    ]
    assert all(hasattr(millisight, name) for name in millisight.__all__)
    assert set(millisight.__all__) <= set(dir(millisight))
    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        millisight.Klient  # type: ignore[attr-defined]  # noqa: B018

"""The files for containers are ones that Docker, Kubernetes, Prometheus and Grafana accept, and
speak of what the server really has. The image itself: tests/image.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from millisight.server import dialects
from millisight.server.dialects import rpc
from millisight.settings import Settings
from millisight.sources import ENV_PREFIX
from tests.e2e.conftest import running
from tests.support import encode, solid, texture

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
MANIFESTS = sorted(set((DEPLOY / "kubernetes").glob("*.yaml")))
INFERENCE_SERVICE = DEPLOY / "kserve" / "inference-service.yaml"
OF_KSERVE = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget"}
"""What a predictor has beside a pod."""
KUSTOMIZATION = DEPLOY / "kubernetes" / "kustomization.yaml"
RULES = DEPLOY / "prometheus" / "rules.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "millisight.json"
FROM_PROMETHEUS = {"up": {"job", "instance"}}
ADDED_BY_PROMETHEUS = {"job", "instance"}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def accepts(*command: str | Path) -> None:
    """``command``, a checker, finds nothing to complain of."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def rules(kind: str) -> list[dict[str, Any]]:
    return [rule for group in read(RULES)["groups"] for rule in group["rules"] if kind in rule]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


EXPRESSIONS = [
    *((rule[kind], rule["expr"]) for kind in ("record", "alert") for rule in rules(kind)),
    *((panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A real one that has answered a picture, and one with a warning."""
    with (
        running(tmp_path_factory.mktemp("home")) as one,
        httpx.Client(base_url=one.url, timeout=30) as client,
    ):
        for picture in (encode(texture(300, 300), "JPEG"), encode(solid((9, 9), "LA"), "PNG")):
            client.post("/predict", content=picture).raise_for_status()
        yield client


@pytest.fixture(scope="module")
def exposed(server: httpx.Client) -> dict[str, set[str]]:
    """The names in its /metrics, with their labels."""
    families = text_string_to_metric_families(server.get("/metrics").text)
    labels = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    # By convention such a name begins with its labels: instance_model:…
    recorded = {
        name: set(name.split(":")[0].split("_"))
        for name in map(itemgetter("record"), rules("record"))
    }
    return labels | recorded


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    """What ``expression`` asks Prometheus for; ``ValueError`` if it is not PromQL."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: object) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        elif isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def test_the_dockerfile_has_no_bad_habits() -> None:
    accepts(BIN / "hadolint", ROOT / "Dockerfile")


def test_compose_accepts_its_file() -> None:
    schema = ["--builtin-schema", "vendor.compose-spec"]
    accepts(BIN / "check-jsonschema", *schema, ROOT / "compose.yaml")


# Three minor releases are supported at a time; these are the oldest with what is used, and the
# newest that the checker knows.
@pytest.mark.parametrize("release", [["-k", "1.30"], []], ids=["oldest", "newest"])
def test_kubernetes_accepts_the_manifests(release: list[str]) -> None:
    manifests = [path for path in MANIFESTS if path != KUSTOMIZATION]
    accepts(BIN / "kubernetes-validate", "--strict", *release, *manifests)


def test_kubernetes_accepts_what_is_there_to_be_uncommented(tmp_path: Path) -> None:
    changed = []
    for name in ("deployment.yaml", "network.yaml", "service.yaml"):
        text = (DEPLOY / "kubernetes" / name).read_text(encoding="utf-8")
        whole = re.sub(r"^( *)# ( *(?:- )?\w+:(?: .*)?)$", r"\1\2", text, flags=re.MULTILINE)
        (tmp_path / name).write_text(whole, encoding="utf-8")
        changed.append(read(tmp_path / name)["spec"])
    accepts(BIN / "kubernetes-validate", "--strict", *sorted(tmp_path.iterdir()))
    deployment, network, service = changed
    [container] = deployment["template"]["spec"]["containers"]
    assert {"name": "grpc", "containerPort": 8001} in container["ports"]
    names = {variable["name"] for variable in container["env"]}
    assert {"MILLISIGHT_GRPC_PORT", "MILLISIGHT_OTLP_ENDPOINT"} <= names
    assert {"port": "grpc"} in network["ingress"][0]["ports"]
    assert {"port": 4318} in network["egress"][0]["ports"]
    assert service["ports"][-1]["targetPort"] == "grpc"


def test_kubernetes_accepts_the_pods_of_the_inference_service(tmp_path: Path) -> None:
    predictor = read(INFERENCE_SERVICE)["spec"]["predictor"]
    assert predictor.keys() >= OF_KSERVE
    manifest = read(DEPLOY / "kubernetes" / "deployment.yaml")
    pod = {name: value for name, value in predictor.items() if name not in OF_KSERVE}
    manifest["spec"]["template"]["spec"] = pod
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(manifest))
    accepts(BIN / "kubernetes-validate", "--strict", tmp_path / "pod.yaml")


def test_the_kustomization_names_every_manifest() -> None:
    names = {path.name for path in MANIFESTS} - {KUSTOMIZATION.name}
    assert set(read(KUSTOMIZATION)["resources"]) == names


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["version"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"\nARG VERSION={version}\n" in dockerfile
    assert read(KUSTOMIZATION)["images"][0]["newTag"] == version


def test_what_the_files_set_are_settings() -> None:
    files = [ROOT / "Dockerfile", ROOT / "compose.yaml", *MANIFESTS, INFERENCE_SERVICE]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    named = set(re.findall(rf"\b{ENV_PREFIX}([A-Z_]+)\b", text))
    assert named
    assert named <= {name.upper() for name in Settings.model_fields}


def test_compose_and_kubernetes_take_away_what_the_image_does_not_need() -> None:
    service = read(ROOT / "compose.yaml")["services"]["millisight"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    pod = read(DEPLOY / "kubernetes" / "deployment.yaml")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    network = read(DEPLOY / "kubernetes" / "network.yaml")["spec"]
    assert network["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in network


def test_every_file_that_compose_mounts_is_there() -> None:
    services = read(ROOT / "compose.yaml")["services"].values()
    mounts = [mount for service in services for mount in service.get("volumes", [])]
    sources = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_probes_ask_addresses_that_answer(server: httpx.Client) -> None:
    pod = read(DEPLOY / "kubernetes" / "deployment.yaml")["spec"]["template"]["spec"]
    probes = {name: value for name, value in pod["containers"][0].items() if "Probe" in name}
    assert set(probes) == {"startupProbe", "readinessProbe", "livenessProbe"}
    [container] = read(INFERENCE_SERVICE)["spec"]["predictor"]["containers"]
    others = [value for name, value in container.items() if "Probe" in name]
    assert len(others) == 2
    for probe in [*probes.values(), *others]:
        assert server.get(probe["httpGet"]["path"]).status_code == 200


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=[name for name, _ in EXPRESSIONS])
def test_alerts_and_panels_ask_for_what_is_exposed(
    server: httpx.Client, exposed: dict[str, set[str]], name: str, expression: str
) -> None:
    routes = [*server.get("/openapi.json").json()["paths"], f"/{rpc.SERVICE}/ModelInfer"]
    routes += [route.path for route in dialects.routes]
    found = selectors(expression)
    assert found, name
    known = exposed | FROM_PROMETHEUS
    for selector in found:
        assert selector.name in known
        asked = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
        assert set(asked) <= known[selector.name] | ADDED_BY_PROMETHEUS
        for pattern in asked["route"].split("|") if "route" in asked else ():
            assert any(re.fullmatch(pattern, route) for route in routes), pattern
    grouped = re.findall(r"by \(([a-z, ]+)\)", expression)
    labels = {label.strip() for group in grouped for label in group.split(",")}
    assert labels <= set().union(*known.values())


def test_alerts_have_what_prometheus_allows_and_no_more() -> None:
    [group] = read(RULES)["groups"]
    assert set(group) == {"name", "rules"}
    names = [rule["alert"] for rule in rules("alert")]
    assert len(set(names)) == len(names)
    for rule in rules("record"):
        assert set(rule) == {"record", "expr"}
    for rule in rules("alert"):
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        assert set(rule["annotations"]) == {"summary", "description"}
        templates = re.findall(r"\{\{(.*?)\}\}", "".join(rule["annotations"].values()))
        found = [
            re.fullmatch(r" (\$labels\.([a-z]+)|\$value \| humanize\w*) ", one) for one in templates
        ]
        assert all(found), templates
        named = {one[2] for one in found if one and one[2]}
        # What is not summed up keeps all of its labels, which Prometheus adds instance to.
        assert all(label in rule["expr"] or label == "instance" for label in named)


def test_every_number_and_every_alert_is_explained(exposed: dict[str, set[str]]) -> None:
    guide = (ROOT / "docs" / "guides" / "observe.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(millisight_\w+)` \|([^|]*)\|", guide, re.MULTILINE)
    told = {name: set(re.findall(r"\w+", labels)) for name, labels in rows}
    recorded = {rule["record"] for rule in rules("record")}
    there = {
        re.sub("_(bucket|sum|count)$", "", name): labels - {"le"}
        for name, labels in exposed.items()
        if name not in recorded
    }
    assert told == there
    named = re.findall(r"`(Millisight\w+)`", guide)
    assert sorted(named) == sorted(rule["alert"] for rule in rules("alert"))


def test_promtool_accepts_what_is_for_it_and_the_right_people_are_told(
    server: httpx.Client,
) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: Debian's package prometheus has it")
    accepts(promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    accepts(promtool, "test", "rules", ROOT / "tests" / "alerts.yml")
    numbers = server.get("/metrics").text
    done = subprocess.run(
        [promtool, "check", "metrics"], input=numbers, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_prometheus_and_grafana_find_each_other_and_the_server() -> None:
    services = read(ROOT / "compose.yaml")["services"]
    scrape = read(DEPLOY / "prometheus" / "prometheus.yml")
    assert scrape["rule_files"] == [RULES.name]
    [job] = scrape["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["millisight:8000"]}]
    provisioning = DEPLOY / "grafana" / "provisioning"
    [source] = read(provisioning / "datasources" / "prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert {"millisight", "prometheus", "grafana"} == set(services)
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": source["uid"]}
    [provider] = read(provisioning / "dashboards" / "millisight.yaml")["providers"]
    folder = provider["options"]["path"]
    assert f"./deploy/grafana/dashboards:{folder}:ro" in services["grafana"]["volumes"]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/{DASHBOARD.name}"


@pytest.mark.parametrize(
    ("wish", "status", "says"),
    [
        ("auto", 0, "the image serves the starter model"),
        ("no", 0, "as asked"),
        ("yes", 1, "resnet18-f37072fd.pth"),
        ("perhaps", 2, "auto, yes or no"),
    ],
)
def test_the_image_has_resnet18_only_where_its_weights_can_be_had(
    tmp_path: Path, wish: str, status: int, says: str
) -> None:
    # Nothing listens at port 9.
    told = {"WITH_RESNET18": wish, "WEIGHTS_MIRROR": "http://127.0.0.1:9", "TORCH_INDEX": "none"}
    done = subprocess.run(
        ["sh", DEPLOY / "image" / "bake-resnet18", tmp_path],
        env=os.environ | told, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status
    assert says in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []

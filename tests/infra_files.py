"""The deployment files of infra/, read once, and what the tests ask of them."""

import itertools
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
INFRA = ROOT / "infra"
DEPLOYED = sorted(
    path
    for path in [*INFRA.glob("*"), *INFRA.glob("kubernetes/*")]
    if path.is_file() and path.suffix not in {".py", ".md"}
)
VALUES = sorted(INFRA.glob("kubernetes/*-values.yaml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = dict(
    re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
)


def load(name: str) -> Any:
    """A YAML file of infra/."""
    return yaml.safe_load((INFRA / name).read_text(encoding="utf-8"))


def compose(name: str) -> Any:
    """A Compose file as Compose reads it: with merges made and variables filled in, here by their defaults."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (INFRA / name).read_text(encoding="utf-8"))
    return yaml.safe_load(re.sub(r"\$\{(\w+):\?[^}]*\}", r"\1", text))


def manifests() -> list[dict[str, Any]]:
    """Every Kubernetes object, in the order of the files."""
    files = [path for path in sorted(INFRA.glob("kubernetes/*.yaml")) if path not in VALUES]
    return [found for path in files for found in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def ray_clusters() -> Iterator[dict[str, Any]]:
    """The specification of every Ray cluster, a job's as well."""
    for found in manifests():
        if found["kind"] in {"RayCluster", "RayJob"}:
            yield found["spec"] if found["kind"] == "RayCluster" else found["spec"]["rayClusterSpec"]


def pod_templates() -> Iterator[dict[str, Any]]:
    """Every pod that is described: of deployments, of Ray's groups, and of the kubernetes pool's jobs."""
    for found in manifests():
        if found["kind"] == "Deployment":
            yield found["spec"]["template"]
    for cluster in ray_clusters():
        for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
            yield group["template"]
    yield job_manifest({"image": "image:1", "scratch": "1Gi", "cpu": "1", "memory": "1Gi"})["spec"]["template"]


def containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of a pod, the ones that run first included."""
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def job_template() -> dict[str, Any]:
    """The kubernetes pool's: variables, and the job that they are put into."""
    values = load("kubernetes/prefect-worker-values.yaml")
    template: dict[str, Any] = json.loads(values["worker"]["config"]["baseJobTemplate"]["configuration"])
    return template


def job_manifest(variables: dict[str, Any]) -> dict[str, Any]:
    """The job with variables in their places; what has none is left out, as Prefect does."""

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: made for key, inner in value.items() if (made := filled(inner)) is not None}
        if isinstance(value, list):
            return [filled(inner) for inner in value]
        whole = re.fullmatch(r"\{\{ (\w+) \}\}", value) if isinstance(value, str) else None
        if whole:
            return variables.get(whole[1])
        return value.replace("{{ name }}", "run") if isinstance(value, str) else value

    manifest: dict[str, Any] = filled(job_template()["job_configuration"]["job_manifest"])
    return manifest


def strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a document with the name that it stands under."""
    if isinstance(value, dict):
        yield from itertools.chain.from_iterable(strings(inner, str(name)) for name, inner in value.items())
    elif isinstance(value, list):
        yield from itertools.chain.from_iterable(strings(inner, key) for inner in value)
    elif isinstance(value, str):
        yield key, value

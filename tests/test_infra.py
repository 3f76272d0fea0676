"""The deployment files, as far as they can be checked without an engine, and the choice of PyTorch's index."""

import http.server
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
import time
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import compose_spec
import kubernetes_validate  # type: ignore[import-untyped]
import prefect
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from flows.build_dataset import build_dataset
from flows.publish_release import publish_release
from flows.regenerate_sample import regenerate_sample
from flows.release_dataset import release_dataset
from tests.infra_files import (
    DEPLOYED,
    INFRA,
    PINS,
    PROJECT,
    ROOT,
    VALUES,
    compose,
    containers,
    job_manifest,
    job_template,
    load,
    manifests,
    pod_templates,
    ray_clusters,
    strings,
)

SCRIPT = ROOT / "infra" / "torch_index.py"
BIN = Path(sys.executable).parent
KUBERNETES = "1.37"
FLOWS = {flow.name: flow for flow in (build_dataset, publish_release, regenerate_sample, release_dataset)}
COMPOSE = ["compose.yaml", "compose.gpu.yaml"]
PREFECT = ["../prefect.yaml", "prefect-docker.yaml", "prefect-kubernetes.yaml"]
RAY_FIELDS = {  # https://docs.ray.io/en/master/cluster/kubernetes/references/api.html (KubeRay 1.7)
    "RayClusterSpec": {
        *("authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec"),
        *("headServiceAnnotations", "historyServerOptions", "managedBy", "networkPolicy", "rayVersion", "suspend"),
        *("tlsOptions", "upgradeStrategy", "workerGroupSpecs"),
    },
    "AuthOptions": {"enableK8sTokenAuth", "mode", "secretName"},
    "AutoscalerOptions": {
        *("args", "command", "env", "envFrom", "idleTimeoutSeconds", "image", "imagePullPolicy", "resources"),
        *("securityContext", "upscalingMode", "version", "volumeMounts"),
    },
    "HeadGroupSpec": {
        *("enableIngress", "headService", "ingressOptions", "labels", "rayStartParams", "resources", "serviceType"),
        "template",
    },
    "WorkerGroupSpec": {
        *("groupName", "idleTimeoutSeconds", "labels", "maxReplicas", "minReplicas", "numOfHosts", "priority"),
        *("rayStartParams", "replicas", "resources", "scaleStrategy", "suspend", "template"),
    },
    "RayJobSpec": {
        *("activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint"),
        *("entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata"),
        *("preRunningDeadlineSeconds", "rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes"),
        *("submissionMode", "submitterConfig", "submitterPodTemplate", "suspend", "ttlSecondsAfterFinished"),
    },
}
ELSEWHERE = {53: "DNS", 443: "S3 and Kubernetes", 5432: "PostgreSQL", 6443: "Kubernetes"}  # ports without a pod of ours


@pytest.fixture
def torch_index() -> Any:
    """The script as a module; it stands beside the packages, not in one."""
    spec = importlib.util.spec_from_file_location("torch_index", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Answers(http.server.BaseHTTPRequestHandler):
    """A server that has every page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


def test_an_index_that_answers_is_reachable_and_others_are_not_waited_for(torch_index: Any) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert torch_index.reachable(f"http://127.0.0.1:{port}", 2)
        server.shutdown()
    started = time.monotonic()
    assert not torch_index.reachable(f"http://127.0.0.1:{port}", 2)
    assert not torch_index.reachable("http://192.0.2.1", 0.3)  # an address that never answers (RFC 5737)
    assert time.monotonic() - started < 60  # the kernel would wait for two minutes


@pytest.mark.parametrize("gpu", [True, False])
def test_a_gpu_machine_takes_the_default_build(
    torch_index: Any, gpu: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch_index.platform, "system", lambda: "Linux")
    monkeypatch.setattr(torch_index.shutil, "which", lambda _: "/usr/bin/nvidia-smi" if gpu else None)
    monkeypatch.setattr(torch_index, "reachable", lambda *_: True)
    monkeypatch.setattr(torch_index.os, "_exit", lambda _: None)
    torch_index.main()
    assert bool(capfd.readouterr().out) == (not gpu)


def test_the_dockerfile_has_nothing_that_hadolint_would_change() -> None:
    found = subprocess.run(
        [BIN / "hadolint", "--failure-threshold", "info", INFRA / "Dockerfile"], check=False, capture_output=True
    )
    assert (found.returncode, found.stdout) == (0, b"")


def test_the_dockerfile_copies_only_what_its_context_has() -> None:
    let_in = {line.removeprefix("!") for line in (INFRA / "Dockerfile.dockerignore").read_text("utf-8").splitlines()}
    copies = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+)$", (INFRA / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    sources = {source for line in copies for source in line.split()[:-1]}
    assert sources <= let_in
    assert all((ROOT / source).exists() for source in sources)


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_are_of_the_specification(name: str) -> None:
    resolved = compose(name)
    compose_spec.PyCompose.from_yaml(yaml.safe_dump(resolved)).validate()
    resolved["services"]["ray-node"]["helthcheck"] = {}
    with pytest.raises(ValueError, match="helthcheck"):
        compose_spec.PyCompose.from_yaml(yaml.safe_dump(resolved))


def test_compose_is_as_its_linter_wants_it() -> None:
    done = subprocess.run(
        [BIN / "compose-lint", "check", "--format", "json", INFRA / "compose.yaml"], check=False, capture_output=True
    )
    findings = json.loads(done.stdout)["findings"]
    accepted = ("CL-0019", "CL-0020")  # no digest, as the Dockerfile says; and the path of a secret is none
    assert [found for found in findings if found["rule_id"] not in accepted] == []
    keys = [found["message"] for found in findings if found["rule_id"] == "CL-0020"]
    assert all("'RAY_AUTH_TOKEN_PATH'" in message for message in keys)


@pytest.mark.parametrize("service", load("compose.yaml")["services"].values(), ids=load("compose.yaml")["services"])
def test_a_service_is_limited_watched_and_closed(service: dict[str, Any]) -> None:
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    runs_on = service["restart"] == "unless-stopped"
    assert runs_on == ("healthcheck" in service)
    services = load("compose.yaml")["services"]
    for other, needs in service.get("depends_on", {}).items():
        ends = services[other]["restart"] == "on-failure"
        assert needs["condition"] == ("service_completed_successfully" if ends else "service_healthy")


@pytest.mark.parametrize("found", manifests(), ids=lambda found: found["kind"])
def test_kubernetes_objects_are_of_their_schemas(found: dict[str, Any]) -> None:
    if not found["apiVersion"].startswith("ray.io/"):
        kubernetes_validate.validate(found, KUBERNETES, strict=True)


def test_the_schemas_are_strict() -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({"apiVersion": "v1", "kind": "ConfigMap", "dat": {}}, KUBERNETES, strict=True)


@pytest.mark.parametrize("template", list(pod_templates()))
def test_pods_are_of_their_schema_and_have_no_rights(template: dict[str, Any]) -> None:
    kubernetes_validate.validate({"apiVersion": "v1", "kind": "PodTemplate", "template": template}, KUBERNETES, True)
    pod = template["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"USER {pod['securityContext']['runAsUser']}:" in (INFRA / "Dockerfile").read_text("utf-8")
    for container in containers(template):
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]) & set(container["resources"]["limits"])
        assert {"/home/ecg", "/tmp", "/scratch"} <= {mount["mountPath"] for mount in container["volumeMounts"]}


def test_the_kubernetes_pools_job_is_of_its_schema() -> None:
    variables = {name: given.get("default") for name, given in job_template()["variables"]["properties"].items()}
    job = job_manifest(variables | {"command": ["prefect"], "env": [], "labels": {}})
    kubernetes_validate.validate(job, KUBERNETES, strict=True)


def test_ray_objects_have_fields_that_their_reference_names() -> None:
    for found in manifests():
        if found["kind"] == "RayJob":
            assert set(found["spec"]) <= RAY_FIELDS["RayJobSpec"]
    clusters = list(ray_clusters())
    assert len(clusters) == 2
    for cluster in clusters:
        assert set(cluster) <= RAY_FIELDS["RayClusterSpec"]
        assert set(cluster["authOptions"]) <= RAY_FIELDS["AuthOptions"]
        assert cluster["authOptions"]["mode"] == "token"
        assert set(cluster.get("autoscalerOptions", {})) <= RAY_FIELDS["AutoscalerOptions"]
        assert set(cluster["headGroupSpec"]) <= RAY_FIELDS["HeadGroupSpec"]
        for group in cluster["workerGroupSpecs"]:
            assert set(group) <= RAY_FIELDS["WorkerGroupSpec"]
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
            assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_every_port_of_a_policy_has_somebody_listening() -> None:
    listening = {
        port["containerPort"]
        for template in pod_templates()
        for container in containers(template)
        for port in container.get("ports", [])
    }
    listening.add(4200)  # the Prefect chart's service.targetPort
    for found in manifests():
        if found["kind"] != "NetworkPolicy":
            continue
        for rule in found["spec"].get("ingress", []):
            assert {port["port"] for port in rule.get("ports", [])} <= listening
        for rule in found["spec"].get("egress", []):
            assert {port["port"] for port in rule.get("ports", [])} <= listening | ELSEWHERE.keys()


def test_the_namespace_denies_by_default() -> None:
    policies = [found["spec"] for found in manifests() if found["kind"] == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies


def test_versions_agree() -> None:
    dockerfile = (INFRA / "Dockerfile").read_text(encoding="utf-8")
    python = re.search(r"PYTHON_IMAGE=python:(\d+\.\d+)\.\d+-slim-", dockerfile)
    assert python is not None
    assert f"/lib/python{python[1]}/" in dockerfile
    assert f'version="{PROJECT["version"]}"' in dockerfile
    assert {cluster["rayVersion"] for cluster in ray_clusters()} == {PINS["ray"]}
    assert {load(name)["prefect-version"] for name in PREFECT} == {PINS["prefect"]}
    images = [text for path in DEPLOYED if path.suffix == ".yaml" for text in _images(path)]
    ours = {image for image in images if "ecg-foundry" in image}
    assert {image.rpartition("/")[2] for image in ours} == {f"ecg-foundry:{PROJECT['version']}"}
    for path in VALUES:
        assert re.search(rf"prefectTag: {re.escape(PINS['prefect'])}-python{python[1]}", path.read_text("utf-8"))


def test_all_that_the_image_asks_for_is_pinned() -> None:
    extras = PROJECT["optional-dependencies"]
    asked = [Requirement(line) for line in [*PROJECT["dependencies"], *extras["cluster"], *extras["hdf5"]]]
    asked += [Requirement(line) for line in extras["publish"]]
    ray = next(requirement for requirement in asked if requirement.extras == {"default"})
    asked += [
        requirement
        for requirement in map(Requirement, requires(ray.name) or [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": "default"})
    ]
    pinned = {canonicalize_name(name) for name in PINS}
    assert {canonicalize_name(requirement.name) for requirement in asked} <= pinned


def test_nothing_is_the_latest() -> None:
    for path in DEPLOYED:
        assert "latest" not in re.sub(r"https://\S+", "", path.read_text(encoding="utf-8")), path
    for path in (path for path in DEPLOYED if path.suffix == ".yaml"):
        assert all(re.search(r":[\w.-]*\d[\w.-]*$", image) for image in _images(path)), path


def test_no_secret_is_written_down() -> None:
    for path in (path for path in DEPLOYED if path.suffix == ".yaml"):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            assert document.get("kind") != "Secret"
            for key, text in strings(document):
                if re.search(r"PASSWORD|TOKEN|SECRET|ACCESS_KEY|AUTH_STRING|password|authString", key):
                    assert re.fullmatch(r"(admin:)?\$\{\w+:\?.*\}|/run/secrets/\w+", text), (path, key)
    example = dict(re.findall(r"^(\w+)=(.*)$", (INFRA / ".env.example").read_text("utf-8"), re.MULTILINE))
    needed = set(re.findall(r"\$\{(\w+):\?", (INFRA / "compose.yaml").read_text("utf-8")))
    needed |= {secret["environment"] for secret in load("compose.yaml")["secrets"].values()}
    assert {name for name, value in example.items() if not value} == needed


def test_the_readme_says_how_to_make_every_secret() -> None:
    named = set()
    for found in manifests():
        named |= set(re.findall(r"'(?:secretRef|secretKeyRef)': \{'name': '([\w-]+)'", str(found)))
        named |= set(re.findall(r"'secretName': '([\w-]+)'", str(found)))
    named |= set(re.findall(r'"secretRef": \{\s*"name": "([\w-]+)"', VALUES[-1].read_text(encoding="utf-8")))
    named |= {secret for path in VALUES for secret in re.findall(r"existingSecret: ([\w-]+)", path.read_text("utf-8"))}
    named.add(load("kubernetes/prefect-server-values.yaml")["secret"]["name"])
    readme = (INFRA / "README.md").read_text(encoding="utf-8")
    assert {name for name in named if f"create secret generic {name} " not in readme} == set()


@pytest.mark.parametrize("name", PREFECT)
def test_deployments_name_what_the_flows_have(name: str) -> None:
    deployments = load(name)["deployments"]
    variables = set(_pool_variables()[deployments[0]["work_pool"]["name"].replace("local-process", "process")])
    for deployment in deployments:
        path, _, function = deployment["entrypoint"].partition(":")
        flow = next(flow for flow in FLOWS.values() if flow.fn.__name__ == function)
        assert Path(path).stem == flow.fn.__module__.rpartition(".")[2]
        assert set(deployment.get("parameters", {})) <= set(flow.parameters.properties)
        assert set(deployment["work_pool"].get("job_variables", {})) <= variables
        assert not any(schedule.get("active", True) for schedule in deployment["schedules"])


def test_the_same_flows_are_deployed_everywhere() -> None:
    deployed = [
        [(one["entrypoint"], one["description"], one["tags"], one["schedules"]) for one in load(name)["deployments"]]
        for name in PREFECT
    ]
    assert deployed[0] == deployed[1] == deployed[2]
    assert {one[0].rpartition(":")[2] for one in deployed[0]} == {flow.fn.__name__ for flow in FLOWS.values()}


@pytest.mark.parametrize("head", ["", "ray-head:6379"])
def test_the_entry_point_joins_a_cluster_only_where_one_is_named(head: str, tmp_path: Path) -> None:
    ray = tmp_path / "ray"
    ray.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n', encoding="utf-8")
    ray.chmod(0o755)
    done = subprocess.run(
        [INFRA / "join-ray", "sh", "-c", 'echo "$RAY_ADDRESS"; exit 7'],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "JOIN_RAY": head},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip()) == (7, head)
    assert (tmp_path / "asked").exists() == bool(head)
    if head:
        assert f"--address={head} --num-cpus=0 --num-gpus=0" in (tmp_path / "asked").read_text(encoding="utf-8")


def _images(path: Path) -> list[str]:
    """Those that a file names; of a chart's values the pieces are put together."""
    texts = [pair for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) for pair in strings(document)]
    named = [text for key, text in texts if key == "image"]
    tags = [text for key, text in texts if key == "prefectTag"]
    return named + [f"prefecthq/prefect:{tag}" for tag in tags]


def _pool_variables() -> dict[str, dict[str, Any]]:
    """What a deployment may set, by the kind of its pool: Prefect's own templates, and ours for Kubernetes."""
    known = Path(prefect.__file__).parent / "server/api/collections_data/views/aggregate-worker-metadata.json"
    workers = json.loads(known.read_text(encoding="utf-8"))
    kinds = {"process": workers["prefect"]["process"], "docker": workers["prefect-docker"]["docker"]}
    stock = {kind: one["default_base_job_configuration"]["variables"]["properties"] for kind, one in kinds.items()}
    return stock | {"kubernetes": job_template()["variables"]["properties"]}

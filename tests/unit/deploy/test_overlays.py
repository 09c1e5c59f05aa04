"""k8s/: every overlay builds, is legal by the published schemas, and keeps the rules of a hospital's cluster."""

from __future__ import annotations

import os
import re
from typing import Any

import kubernetes_validate
import pytest
from cloudcoil.models.keda.v1alpha1 import ScaledObject, TriggerAuthentication
from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor
from support import overlays
from support.overlays import OVERLAYS, ROOT, build, of_kind, pods

from common import queues
from common.settings import Settings

each = pytest.mark.parametrize("overlay", OVERLAYS)
CUSTOM = {
    "ScaledObject": ScaledObject,
    "TriggerAuthentication": TriggerAuthentication,
    "ServiceMonitor": ServiceMonitor,
}
FOREIGN = {"ExternalSecret"}  # no published model is to be had as a package; its form is checked below
SCHEMA_VERSION = "1.33"


@pytest.fixture(autouse=True)
def _kubectl() -> None:
    if overlays.kubectl() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("kubectl is not installed (make peers), and CI must have it", pytrace=False)
        pytest.skip("kubectl is not installed (make peers)")


def name_of(found: dict[str, Any]) -> str:
    return f"{found['kind']}/{found['metadata']['name']}"


@each
def test_every_object_is_legal_by_its_schema(overlay: str) -> None:
    for found in build(overlay):
        if found["kind"] in CUSTOM:
            CUSTOM[found["kind"]].model_validate(found)
        elif found["kind"] not in FOREIGN:
            kubernetes_validate.validate(found, SCHEMA_VERSION, strict=True)


def test_the_schemas_would_find_a_fault() -> None:
    broken = of_kind("production", "Deployment")[0] | {"spek": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, SCHEMA_VERSION, strict=True)
    with pytest.raises(ValueError, match="scaleTargetRef"):
        ScaledObject.model_validate(
            {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "spec": {"triggers": []}}
        )


@each
def test_no_pod_runs_as_root_or_gains_rights(overlay: str) -> None:
    for found, pod in pods(overlay):
        inside = pod["securityContext"]
        assert inside["runAsNonRoot"] is True, name_of(found)
        assert inside["seccompProfile"] == {"type": "RuntimeDefault"}, name_of(found)
        assert pod["automountServiceAccountToken"] is False, name_of(found)
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False, name_of(found)
            assert rights["readOnlyRootFilesystem"] is True, name_of(found)
            assert rights["capabilities"] == {"drop": ["ALL"]}, name_of(found)
        assert not any("hostPath" in volume for volume in pod["volumes"]), name_of(found)


@each
def test_every_container_has_requests_limits_and_a_version(overlay: str) -> None:
    for found, pod in pods(overlay):
        for container in pod["containers"]:
            for bound in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][bound]), name_of(found)
            version = container["image"].rpartition(":")[2]
            assert re.search(r"\d", version), container["image"]
            assert version != "latest"


@each
def test_every_server_has_its_probes(overlay: str) -> None:
    for found in of_kind(overlay, "Deployment", "StatefulSet"):
        for container in found["spec"]["template"]["spec"]["containers"]:
            assert {"startupProbe", "livenessProbe"} <= set(container), name_of(found)
            if "ports" in container:  # somebody calls it
                assert "readinessProbe" in container, name_of(found)


@each
def test_workers_have_time_to_drain(overlay: str) -> None:
    config = next(found for found in of_kind(overlay, "ConfigMap") if found["metadata"]["name"] == "cinefarm")
    drain = float(config["data"]["CINEFARM_DRAIN_SECONDS"])
    for found in of_kind(overlay, "Deployment"):
        if found["metadata"]["name"].startswith("worker"):
            assert found["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= drain + 5


@each
def test_every_setting_exists(overlay: str) -> None:
    known = {f"CINEFARM_{name.upper()}" for name in Settings.model_fields}
    for found in of_kind(overlay, "ConfigMap"):
        assert {name for name in found["data"] if name.startswith("CINEFARM_")} <= known


@each
def test_secrets_are_referred_to_and_never_written(overlay: str) -> None:
    assert of_kind(overlay, "Secret") == []
    for _, pod in pods(overlay):
        for container in pod["containers"]:
            for variable in container.get("env", ()):
                assert not re.search("PASSWORD|SECRET|TOKEN", variable["name"]) or variable["name"].endswith("_FILE")


@each
def test_nothing_is_open_that_no_policy_names(overlay: str) -> None:
    policies = of_kind(overlay, "NetworkPolicy")
    deny = next(one for one in policies if one["metadata"]["name"] == "default-deny")
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    named = {
        one["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name")
        for one in policies
        if "Ingress" in one["spec"]["policyTypes"]
    }
    for found in of_kind(overlay, "Service"):
        assert found["spec"]["selector"]["app.kubernetes.io/name"] in named, name_of(found)


@each
def test_every_service_finds_its_pods_and_their_port(overlay: str) -> None:
    for found in of_kind(overlay, "Service"):
        wanted = found["spec"]["selector"]
        targets = [
            one["spec"]["template"]
            for one in of_kind(overlay, "Deployment", "StatefulSet")
            if wanted.items() <= one["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert len(targets) == 1, name_of(found)
        ports = {port["name"] for container in targets[0]["spec"]["containers"] for port in container.get("ports", ())}
        assert {port["targetPort"] for port in found["spec"]["ports"]} <= ports, name_of(found)


@each
def test_what_is_scaled_exists_and_its_metric_is_that_of_its_queue(overlay: str) -> None:
    deployments = {found["metadata"]["name"]: found for found in of_kind(overlay, "Deployment")}
    for found in of_kind(overlay, "ScaledObject"):
        target = deployments[found["spec"]["scaleTargetRef"]["name"]]
        container = target["spec"]["template"]["spec"]["containers"][0]
        url = found["spec"]["triggers"][0]["metadata"]["url"]
        queue = url.rpartition("/")[2]
        assert queue in container["args"]
        assert queue == queues.CPU or queue.startswith(queues.GPU_PREFIX)
        assert url.startswith("http://orchestrator.cinefarm.svc:8080/api/v1/queues/")


def test_gpu_pools_go_down_to_nothing_and_stay_off_other_nodes() -> None:
    for overlay in ("gpu-nvidia", "gpu-intel"):
        pool = next(one for one in of_kind(overlay, "Deployment") if one["metadata"]["name"] == "worker-gpu")
        pod = pool["spec"]["template"]["spec"]
        assert pod["nodeSelector"]
        assert pod["tolerations"]
        scaled = next(one for one in of_kind(overlay, "ScaledObject") if one["metadata"]["name"] == "worker-gpu")
        assert scaled["spec"]["minReplicaCount"] == 0
        down = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 600


def test_the_secret_from_a_vault_is_the_one_that_pods_mount() -> None:
    asked = of_kind("production", "ExternalSecret")[0]
    assert asked["spec"]["target"]["name"] == "cinefarm"
    mounted = {
        volume["secret"]["secretName"]
        for _, pod in pods("production")
        for volume in pod["volumes"]
        if "secret" in volume
    }
    assert mounted == {"cinefarm"}


def test_images_of_an_airgapped_site_come_from_its_own_registry() -> None:
    for found, pod in pods("airgapped"):
        assert pod["imagePullSecrets"], name_of(found)
        assert all(container["image"].startswith("registry.") for container in pod["containers"])


def test_the_script_that_sets_the_bucket_up_is_one() -> None:
    assert (ROOT / "k8s/overlays/single-node/minio.sh").read_bytes() == (ROOT / "k8s/compose/minio.sh").read_bytes()

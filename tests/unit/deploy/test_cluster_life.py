"""What keeps a farm alive in a cluster: who may be taken away, where pods lie, what outlasts them, who gets in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import overlays
from support.overlays import OVERLAYS, ROOT, of_kind, pods

pytestmark = pytest.mark.skipif(overlays.kubectl() is None, reason="kubectl is not installed (make peers)")
each = pytest.mark.parametrize("overlay", OVERLAYS)


def one(overlay: str, kind: str, name: str) -> dict[str, Any]:
    return next(found for found in of_kind(overlay, kind) if found["metadata"]["name"] == name)


def label_of(found: dict[str, Any]) -> str:
    return str(found["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"])


@each
def test_overlays_are_the_five_that_docs_lead_through(overlay: str) -> None:
    assert OVERLAYS == ["airgapped", "gpu-intel", "gpu-nvidia", "production", "single-node"]
    told = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    assert f"`{overlay}`" in told


@each
def test_the_namespace_admits_only_what_pod_security_calls_restricted(overlay: str) -> None:
    labels = one(overlay, "Namespace", "cinefarm")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@each
def test_what_has_several_replicas_loses_one_at_a_time(overlay: str) -> None:
    kept = {
        found["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        for found in of_kind(overlay, "PodDisruptionBudget")
    }
    assert {"orchestrator", "worker-cpu", "worker-io"} <= kept
    assert kept <= {label_of(found) for found in of_kind(overlay, "Deployment")}


@each
def test_replicas_lie_on_different_nodes_where_there_are_some(overlay: str) -> None:
    for found in of_kind(overlay, "Deployment"):
        if label_of(found).startswith(("orchestrator", "worker")):
            (spread,) = found["spec"]["template"]["spec"]["topologySpreadConstraints"]
            assert spread["topologyKey"] == "kubernetes.io/hostname"
            assert spread["labelSelector"]["matchLabels"]["app.kubernetes.io/name"] == label_of(found)


@each
def test_pods_have_accounts_of_their_own_that_may_do_nothing(overlay: str) -> None:
    accounts = {found["metadata"]["name"]: found for found in of_kind(overlay, "ServiceAccount")}
    assert all(found["automountServiceAccountToken"] is False for found in accounts.values())
    assert not of_kind(overlay, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
    for found in of_kind(overlay, "Deployment"):
        assert found["spec"]["template"]["spec"]["serviceAccountName"] in accounts, found["metadata"]["name"]


def test_on_one_node_ledger_and_objects_outlast_their_pods_and_the_broker_need_not() -> None:
    claims = {
        found["metadata"]["name"]: found["spec"].get("volumeClaimTemplates", ())
        for found in of_kind("single-node", "StatefulSet", "Deployment")
    }
    assert claims["ledger"]
    assert claims["objects"]
    assert not claims["orchestrator"]


def test_production_keeps_its_objects_in_s3_encrypted_and_verifies_who_answers() -> None:
    told = one("production", "ConfigMap", "cinefarm")["data"]
    assert told["CINEFARM_STORE_URL"].startswith("s3://")
    assert told["CINEFARM_S3_ENDPOINT"].startswith("https://")


def test_people_come_in_through_tls_alone() -> None:
    (ingress,) = of_kind("production", "Ingress")
    hosts = {rule["host"] for rule in ingress["spec"]["rules"]}
    assert hosts == {host for tls in ingress["spec"]["tls"] for host in tls["hosts"]}
    assert all(tls["secretName"] for tls in ingress["spec"]["tls"])
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/force-ssl-redirect"] == "true"


def test_metrics_are_scraped_where_the_operator_is() -> None:
    (monitor,) = of_kind("production", "ServiceMonitor")
    (service,) = (found for found in of_kind("production", "Service") if found["metadata"]["name"] == "orchestrator")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert {end["port"] for end in monitor["spec"]["endpoints"]} <= {port["name"] for port in service["spec"]["ports"]}


@pytest.mark.parametrize("overlay", ["gpu-nvidia", "gpu-intel"])
def test_a_gpu_pool_takes_only_its_own_queue_so_that_the_workers_trial_decides(overlay: str) -> None:
    pool = one(overlay, "Deployment", "worker-gpu")["spec"]["template"]["spec"]
    (container,) = pool["containers"]
    queues = [word for word in container["args"] if word not in ("worker", "--queue")]
    assert [queue.partition(".")[0] for queue in queues] == ["gpu"]
    assert any("gpu" in name for name in container["resources"]["limits"])


@each
def test_no_pod_that_encodes_is_killed_before_it_has_drained(overlay: str) -> None:
    """Scaling down deletes pods: each then has its grace, and the window before keeps a pause from costing a pool."""
    grace = {
        label_of(found): found["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        for found in of_kind(overlay, "Deployment")
    }
    drain = float(one(overlay, "ConfigMap", "cinefarm")["data"]["CINEFARM_DRAIN_SECONDS"])
    for found in of_kind(overlay, "ScaledObject"):
        assert grace[found["spec"]["scaleTargetRef"]["name"]] >= drain + 5
        behavior = found["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert behavior["scaleDown"]["stabilizationWindowSeconds"] >= 300


def test_rolling_upgrades_keep_every_replica_until_the_next_is_ready() -> None:
    for name in ("orchestrator", "worker-cpu", "worker-io"):
        strategy = one("production", "Deployment", name)["spec"]["strategy"]
        assert (strategy["type"], strategy["rollingUpdate"]["maxUnavailable"]) == ("RollingUpdate", 0)


def test_every_pod_of_ours_runs_an_image_that_the_dockerfile_makes() -> None:
    made = {
        line.split(" AS ")[1]
        for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("FROM")
    }
    for overlay in OVERLAYS:
        for _, pod in pods(overlay):
            for container in pod["containers"]:
                image = Path(container["image"].partition("cinefarm/")[2].partition(":")[0])
                assert str(image) == "." or str(image) in made, container["image"]

"""Every object of every rendering: what Kubernetes accepts, what "restricted" demands, and where secrets are."""

import base64
import gzip
import re

import pytest

from tests.parts.helm.conftest import MATRIX, rendered
from tests.support import helm
from tests.support.helm import CHART, TIERS, Object, containers, of_kind, pods

ALLOWED_VOLUMES = {"name", "configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}


def test_kubernetes_knows_every_field(objects: list[Object]) -> None:
    for each in objects:
        if each["kind"] == "HTTPRoute":  # not Kubernetes' own
            continue
        where = f"{each['kind']} {each['metadata']['name']}"
        errors = list(helm.schema(each["kind"], each["apiVersion"]).iter_errors(each))
        assert not errors, f"{where}: {errors[0].message} at {errors[0].instance_path}"


def test_no_two_objects_have_the_same_name(objects: list[Object]) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))


def test_server_side_apply_accepts_every_list(objects: list[Object]) -> None:
    """Helm 4 applies on the server, which refuses two entries of the same key."""
    for name, pod in pods(objects).items():
        every = containers(pod)
        assert len(every) == sum(len(pod["spec"].get(key) or []) for key in ("initContainers", "containers")), name
        volumes = [volume["name"] for volume in pod["spec"]["volumes"]]
        assert len(volumes) == len(set(volumes)), name
        for volume in pod["spec"]["volumes"]:
            sources = volume.get("projected", {}).get("sources", [])
            paths = [item["path"] for source in sources for item in source.get("secret", {}).get("items", [])]
            assert len(paths) == len(set(paths)), f"{name}: the volume {volume['name']} has a path twice"
        for container in every.values():
            for key, unique in (("env", "name"), ("volumeMounts", "mountPath"), ("ports", "containerPort")):
                entries = [entry[unique] for entry in container.get(key) or []]
                assert len(entries) == len(set(entries)), f"{name}: {container['name']}.{key}"
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= set(volumes), f"{name}: {container['name']} mounts a volume that is not there"


def test_pods_are_restricted(objects: list[Object]) -> None:
    """The Pod Security Standard of this name, and more: a read-only root, no token of the account."""
    for name, pod in pods(objects).items():
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec), name
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, f"{name}: variables of Services would replace ours"
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"sysctls", "seLinuxOptions", "windowsOptions", "appArmorProfile"} & set(security), name
        for volume in spec["volumes"]:
            assert set(volume) <= ALLOWED_VOLUMES, f"{name}: {volume}"
        for container in containers(pod).values():
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert all("hostPort" not in port for port in container.get("ports") or []), name
            assert "memory" in container["resources"]["limits"], name


def test_secrets_are_only_in_secrets_and_reach_services_as_files(objects: list[Object]) -> None:
    for name, pod in pods(objects).items():
        for container in containers(pod).values():
            assert "envFrom" not in container, name
            assert all("valueFrom" not in entry for entry in container.get("env") or []), name
    secrets = of_kind(objects, "Secret")
    words = {
        word
        for secret in secrets.values()
        for value in secret["data"].values()
        for word in re.findall(r"[A-Za-z0-9+/_-]{30,}", base64.b64decode(value).decode())
    }
    rest = repr([each for each in objects if each["kind"] != "Secret"])
    assert not [word for word in words if word in rest]


def test_every_mounted_secret_exists_and_slashes_do_not_make_two_the_same(objects: list[Object]) -> None:
    (secret,) = of_kind(objects, "Secret").values() or [None]
    for name, pod in pods(objects).items():
        for volume in pod["spec"]["volumes"]:
            sources = (volume.get("projected") or {}).get("sources") or []
            for source in (each for each in sources if "secret" in each):
                (item,) = source["secret"]["items"]
                if secret and source["secret"]["name"] == "pantheon-secrets":
                    assert item["key"] in secret["data"], f"{name}: {item}"
                assert item["key"] in (item["path"].replace("/", "."), "credentials")


def test_a_release_is_far_smaller_than_the_object_that_helm_stores_it_in() -> None:
    """Helm keeps chart, values and manifest, compressed, in one Secret of at most 1 MiB."""
    chart = b"".join(path.read_bytes() for path in sorted(CHART.rglob("*")) if path.is_file())
    manifest = helm.template(TIERS[-1], MATRIX["kserve"][1]).stdout.encode()
    stored = base64.b64encode(base64.b64encode(gzip.compress(chart + chart + manifest)))
    assert len(stored) < 256 * 1024


@pytest.mark.parametrize("name", ["replicas", "autoscaler", "stopped"])
def test_the_endpoint_scales(name: str) -> None:
    objects = rendered(name)
    endpoint = of_kind(objects, "Deployment")["endpoint"]["spec"]
    assert endpoint.get("replicas") == {"replicas": 3, "autoscaler": None, "stopped": 0}[name]
    assert ("endpoint" in of_kind(objects, "HorizontalPodAutoscaler")) is (name == "autoscaler")
    assert "endpoint" in of_kind(objects, "PodDisruptionBudget")
    assert endpoint["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    if name == "stopped":
        every = of_kind(objects, "Deployment", "StatefulSet")
        assert {each["spec"]["replicas"] for each in every.values()} == {0}
        assert all(job["spec"]["suspend"] for job in of_kind(objects, "Job").values())
    # on one node as long as the volume can only be attached to one
    assert ("affinity" in endpoint["template"]["spec"]) is (name != "replicas")


def test_people_reach_services_by_an_ingress_or_a_gateway() -> None:
    objects = rendered("ingress")
    ingress = of_kind(objects, "Ingress")
    assert set(ingress) == {"button", "frontend", "feast"}
    assert ingress["feast"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] == {"name": "ui"}
    assert ingress["button"]["spec"]["tls"] == [{"hosts": ["page.example.com"], "secretName": "wildcard"}]
    variables = {e["name"]: e["value"] for e in containers(pods(objects)["frontend"])["frontend"]["env"]}
    assert variables["FRONTEND_ADDRESS"] == "https://robots.example.com"
    (route,) = of_kind(rendered("gateway"), "HTTPRoute").values()
    assert (route["spec"]["hostnames"], route["spec"]["parentRefs"]) == (["j.example.com"], [{"name": "g"}])
    assert route["spec"]["rules"] == [{"backendRefs": [{"name": "jupyter", "port": 8888}]}]


def test_values_of_one_pod_replace_those_of_all() -> None:
    found = pods(rendered("scheduling"))
    button = found["button"]["spec"]
    assert {pod["spec"]["priorityClassName"] for pod in found.values()} == {"high"}
    assert {pod["spec"]["nodeSelector"]["disk"] for pod in found.values()} == {"ssd"}
    assert {str(pod["spec"]["imagePullSecrets"]) for pod in found.values()} == {"[{'name': 'registry'}]"}
    (container,) = button["containers"]
    assert container["image"] == "registry.example.com/ml/serving:7"
    assert container["resources"] == {"limits": {"memory": "1Gi"}}
    variables = {entry["name"]: entry["value"] for entry in container["env"]}
    assert (variables["BUTTON_HOST"], variables["SSL_CERT_FILE"]) == ("::", "/etc/pantheon/ca.pem")
    assert "HTTPS_PROXY" not in variables  # its own list replaces that of all
    assert found["button"]["metadata"]["labels"]["team"] == "ml"
    assert not of_kind(rendered("scheduling"), "NetworkPolicy")


def test_each_of_airflows_tasks_can_have_a_pod_of_its_own() -> None:
    objects = rendered("pods for tasks")
    found = pods(objects)
    assert {name for name, pod in found.items() if "airflow-kubernetes" in repr(pod)} == {
        *("airflow", "airflow-scheduler", "airflow-dag-processor", "airflow-worker"),
    }
    scheduler, worker = (containers(found[name]) for name in ("airflow-scheduler", "airflow-worker"))
    variables = {each["name"]: each["value"] for each in scheduler["airflow-scheduler"]["env"]}
    assert variables["AIRFLOW__CORE__EXECUTOR"] == "KubernetesExecutor"
    assert variables["AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE"] == "demo"
    same = ("env", "image", "resources", "securityContext")
    assert all(worker["base"][key] == scheduler["airflow-scheduler"][key] for key in same), "tasks have what they had"
    schema = helm.schema("Pod", "v1")
    assert not list(schema.iter_errors(found["airflow-worker"]))
    # only the scheduler may start pods, and only in its namespace
    with_token = {name for name, pod in found.items() if "serviceAccountToken" in repr(pod)}
    accounts = {name: pod["spec"]["serviceAccountName"] for name, pod in found.items()}
    assert with_token == {name for name, account in accounts.items() if account != "pantheon"} == {"airflow-scheduler"}
    (role,) = of_kind(objects, "Role").values()
    assert {resource for rule in role["rules"] for resource in rule["resources"]} == {"pods", "pods/log"}
    assert not of_kind(objects, "ClusterRole", "ClusterRoleBinding")


def test_external_services_replace_those_of_the_deployment() -> None:
    objects = rendered("external")
    assert not {"s3", "postgres"} & set(pods(objects))
    assert not of_kind(objects, "Secret", "ServiceAccount", "PersistentVolumeClaim")
    workflow = pods(objects)["workflow"]["spec"]
    assert workflow["serviceAccountName"] == "42"
    claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in workflow["volumes"] if v["name"] == "data"}
    assert claims == {"data": "old-data"}
    sources = {
        source["secret"]["items"][0]["path"]: source["secret"]["name"]
        for volume in workflow["volumes"]
        for source in (volume.get("projected") or {}).get("sources") or []
    }
    assert sources["s3/credentials"] == "007"
    assert sources["features/key"] == "all-keys"
    variables = {e["name"]: e["value"] for e in containers(pods(objects)["airflow"])["airflow"]["env"]}
    assert (variables["PGHOST"], variables["PGPORT"]) == ("db.example.com", "5432")
    settings = of_kind(objects, "ConfigMap")["settings"]["data"]
    assert "https://s3.example.com" in settings["store.json"]


def test_services_answer_at_the_port_that_is_forwarded_to_them() -> None:
    every = pods(helm.render(7, portOffset=100))
    environment = {
        name: {each["name"]: each.get("value") for each in containers(pod)[name]["env"]}
        for name, pod in every.items()
        if name in ("button", "endpoint", "frontend", "airflow")
    }
    assert environment["button"]["BUTTON_HOSTS"] == "127.0.0.1:8180,localhost:8180"
    assert environment["endpoint"]["ENDPOINT_HOSTS"] == "127.0.0.1:8185,localhost:8185"
    assert environment["frontend"]["FRONTEND_ADDRESS"] == "http://127.0.0.1:8100"
    assert environment["airflow"]["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8181"


def test_an_engine_gives_the_files_that_services_read() -> None:
    text = '{"tier": "zeus"}\n'
    data = of_kind(helm.render(4, settings={"files": {"deployment.json": text}}), "ConfigMap")["settings"]["data"]
    assert data == {"deployment.json": text}

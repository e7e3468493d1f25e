"""What is in `deploy/` fits the program: settings, packs, ports, times, flags, metrics and labels."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from proxy.admin_side import health
from proxy.cli import app
from proxy.documents.strict_yaml import parse
from proxy.settings.limits import Limits
from proxy.telemetry.metrics import METRICS, Refusal

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "stillgate"
ENDING_S = 10  # what a worker may take to end beyond its drain


def documents(text: str) -> list[Any]:
    """Read every document of a file strictly."""
    found = [parse(part.encode(), "deploy") for part in re.split(r"^---$", text, flags=re.MULTILINE)]
    assert not [problem for document in found for problem in document.problems]
    return [document.value for document in found]


def sidecar() -> dict[str, Any]:
    return {document["kind"]: document for document in documents((DEPLOY / "sidecar.yaml").read_text())}


def values() -> dict[str, Any]:
    (document,) = documents((CHART / "values.yaml").read_text())
    return cast("dict[str, Any]", document)


def of_sidecar() -> tuple[str, str]:
    data = sidecar()["ConfigMap"]["data"]
    return data["stillgate.yaml"], data["pack.yaml"]


def of_chart() -> tuple[str, str]:
    return json.dumps(values()["settings"]), values()["pack"]


@pytest.mark.parametrize("read", [of_sidecar, of_chart])
def test_the_settings_and_the_pack_within_pass_our_own_checks(tmp_path: Path, read: Any) -> None:
    settings, pack = read()
    secrets = set(re.findall(r"/run/secrets/stillgate/[a-z.]+", settings))
    assert len(secrets) == 2
    for mounted in secrets:
        mine = tmp_path / Path(mounted).name
        mine.touch(mode=0o600)
        mine.write_bytes(base64.b64encode(bytes(range(32))))
        settings = settings.replace(mounted, str(mine))
    assert "/etc/stillgate/conf/pack.yaml" in settings
    (tmp_path / "pack.yaml").write_text(pack)
    (tmp_path / "stillgate.yaml").write_text(settings.replace("/etc/stillgate/conf/pack.yaml", "pack.yaml"))
    for command in (["config", "check", "--config", "stillgate.yaml"], ["policy", "check", "pack.yaml"]):
        ran = CliRunner().invoke(app, [*command[:-1], str(tmp_path / command[-1])])
        assert ran.exit_code == 0, ran.output
        assert "error" not in ran.output


def pod() -> dict[str, Any]:
    return cast("dict[str, Any]", sidecar()["Deployment"]["spec"]["template"]["spec"])


def test_the_pod_fits_its_settings() -> None:
    settings = documents(of_sidecar()[0])[0]
    guard, model = pod()["containers"]
    assert guard["ports"] == [
        {"name": "http", "containerPort": settings["listen"]["port"]},
        {"name": "health", "containerPort": settings["health"]["port"]},
    ]
    source = Path(health.__file__).read_text()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = guard[probe]["httpGet"]
        assert asked["port"] == "health"
        assert f'add_get("{asked["path"]}"' in source
    running = settings["limits"]["stop_delay_seconds"] + settings["limits"]["drain_seconds"]
    assert pod()["terminationGracePeriodSeconds"] >= running + ENDING_S
    assert running < model["lifecycle"]["preStop"]["sleep"]["seconds"] < pod()["terminationGracePeriodSeconds"]
    mounts = {mount["mountPath"] for mount in guard["volumeMounts"]}
    assert {settings["data"], str(Path(settings["pack"]).parent), str(Path(settings["secret_file"]).parent)} == mounts
    assert guard["args"] == ["serve", "--config", "/etc/stillgate/conf/stillgate.yaml"]
    assert sidecar()["Service"]["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]


def test_each_of_several_replicas_knows_of_the_others() -> None:
    """While the store is away each admits its part of a limit: who thinks that he is alone admits all of it."""
    assert documents(of_sidecar()[0])[0]["replicas"] == sidecar()["Deployment"]["spec"]["replicas"]
    assert "replicas" not in values()["settings"]
    settings = (CHART / "templates" / "configmap.yaml").read_text().partition("  pack.yaml:")[0]
    assert "\n    replicas: {{ .Values.replicas | int }}\n" in settings
    assert (
        "list .Values.settings .Values.replicas .Values.patterns |"
        in (CHART / "templates" / "deployment.yaml").read_text()
    )


def test_the_pod_has_no_more_rights_than_the_image_needs() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"USER {pod()['securityContext']['runAsUser']}:{pod()['securityContext']['runAsGroup']}" in dockerfile
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


TEMPLATES = sorted((CHART / "templates").iterdir())


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_value_that_a_template_names_has_a_default(template: Path) -> None:
    for name in re.findall(r"\.Values((?:\.\w+)+)", template.read_text()):
        found: Any = values()
        for step in name.split(".")[1:]:
            assert step in found, name
            found = found[step]
    assert template.read_text().count("{{") == template.read_text().count("}}")


def test_the_charts_schema_knows_every_value_and_takes_the_defaults() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert schema["properties"].keys() - {"global"} == values().keys()
    _assert_taken(values(), schema)


def _assert_taken(value: Any, schema: dict[str, Any]) -> None:
    """Check a value by the few words that our schema uses."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": int | float, "boolean": bool}
    assert isinstance(value, kinds[schema.get("type", "string")])
    assert schema.get("const", value) == value
    assert value in schema.get("enum", [value])
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= value.keys()
        known = schema.get("properties", {})
        assert schema.get("additionalProperties", True) or value.keys() <= known.keys()
        for name in value.keys() & known.keys():
            _assert_taken(value[name], known[name])
    elif isinstance(value, str):
        assert re.search(schema.get("pattern", ""), value)
    elif isinstance(value, int):
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value)


def test_the_chart_hands_packs_and_patterns_on_as_they_stand() -> None:
    """Helm reads YAML 1.1, to which the `on` of every flag and the mode `off` are booleans: it may only see text."""
    properties = json.loads((CHART / "values.schema.json").read_text())["properties"]
    assert properties["pack"]["type"] == properties["patterns"]["additionalProperties"]["type"] == "string"
    config = (CHART / "templates" / "configmap.yaml").read_text()
    assert "\n  pack.yaml: |\n    {{- .Values.pack | nindent 4 }}\n" in config
    assert "\n  patterns.{{ $name }}.yaml: |\n    {{- $text | nindent 4 }}\n" in config
    template = (CHART / "templates" / "deployment.yaml").read_text()
    assert "- {key: patterns.{{ $name }}.yaml, path: patterns/{{ $name }}.yaml}\n" in template
    assert {f"key: {key}," for key in re.findall(r"^  (\w+\.yaml): \|", config, re.MULTILINE)} == set(
        re.findall(r"key: \w+\.yaml,", template)
    )


def test_chart_and_sidecar_differ_in_nothing_that_matters() -> None:
    """The chart cannot be rendered here; its container says what the sidecar's does, word for word."""
    template = (CHART / "templates" / "deployment.yaml").read_text()
    manifest = re.sub(r" +#.*", "", (DEPLOY / "sidecar.yaml").read_text())
    for first, last in (
        ("          startupProbe:", "timeoutSeconds: 5"),
        ("            capabilities:", "data, mountPath: /var/lib/stillgate}"),
    ):
        part = re.sub(r" +#.*", "", template[template.index(first) : template.index(last) + len(last)])
        lines = [line for line in part.splitlines() if line.strip()]
        assert "\n".join(lines) in "\n".join(line for line in manifest.splitlines() if line.strip())
    assert "addf .Values.settings.limits.stop_delay_seconds .Values.settings.limits.drain_seconds 10" in template
    assert (
        f"appVersion: {documents((CHART / 'Chart.yaml').read_text())[0]['appVersion']}"
        in (CHART / "Chart.yaml").read_text()
    )
    assert (
        f'version = "{documents((CHART / "Chart.yaml").read_text())[0]["appVersion"]}"'
        in (ROOT / "pyproject.toml").read_text()
    )


def test_the_unit_starts_what_there_is_and_gives_it_time_to_end() -> None:
    unit = (DEPLOY / "systemd" / "stillgate.service").read_text()
    (verb, option) = re.findall(r"^ExecStart=\S+/stillgate (\w+) (--\w+) ", unit, re.MULTILINE)[0]
    command = get_command(app).commands[verb]  # type: ignore[attr-defined]  # the root is a group
    assert option in {name for parameter in command.params for name in parameter.opts}
    (stop,) = map(int, re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE))
    limits = Limits()
    assert stop >= limits.stop_delay_seconds + limits.drain_seconds + ENDING_S
    assert "Documentation=file:" not in unit, "no page of ours lies on that machine"
    assert "KillMode=mixed" in unit, "else systemd would drain workers behind their parent's back"


def board_queries() -> list[str]:
    board = json.loads((DEPLOY / "grafana" / "stillgate.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


def rules() -> list[dict[str, Any]]:
    (document,) = documents((DEPLOY / "prometheus" / "alerts.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


QUERIES = [*board_queries(), *(rule["expr"] for rule in rules())]
GIVEN = {"job", "instance", "le"}  # by Prometheus


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_and_every_label_of_a_query_exists(query: str) -> None:
    names = re.findall(r"\bstillgate_\w+", query)
    assert names
    labels = set(GIVEN)
    for name in names:
        metric = METRICS.get(name) or METRICS[name.removesuffix("_bucket")]
        assert (metric.type == "histogram") == name.endswith("_bucket")
        assert (metric.type != "gauge") == bool(re.search(rf"(rate|increase)\({name}\b", query))
        labels |= set(metric.labels)
    asked = [label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")]
    asked += re.findall(r"[{,](\w+)[=!]", query)
    assert {label.strip() for label in asked} <= labels
    for reason in "|".join(re.findall(r'reason=~"([^"]*)"', query)).split("|"):
        assert not reason or reason in set(Refusal)


def test_every_alert_says_how_urgent_it_is_and_what_it_means() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_whatever_the_readme_says_to_alert_on_has_an_alert() -> None:
    pages = " ".join(" ".join((ROOT / "deploy" / page).read_text().split()) for page in ("operating.md", "failures.md"))
    said = re.findall(r"`(stillgate_\w+)`[^;.`]*alert on it|alert on `(stillgate_\w+)`", pages)
    assert len(said) == pages.count("alert on") > 0
    asked = {name for rule in rules() for name in re.findall(r"stillgate_\w+", rule["expr"])}
    assert {before or after for before, after in said} <= asked


def test_a_first_campaign_is_more_than_there_was_before_there_was_anything() -> None:
    """What Prometheus did not see an hour ago is no number that another could be greater than."""
    for rule in rules():
        for before in re.findall(r"[><] *(.*offset.*)", rule["expr"]):
            assert before.endswith(" or vector(0))"), rule["alert"]


def test_the_board_has_an_id_for_every_panel_and_no_two_lie_over_each_other() -> None:
    panels = json.loads((DEPLOY / "grafana" / "stillgate.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells

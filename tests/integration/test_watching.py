"""Alerts and dashboard in ``packaging/``: what they ask for is there, and answers.

Grafana itself is not in Debian and is not run here: its own library reads the dashboard and must
give every field back, and a real Prometheus answers every panel's query from a real server.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from objectclassification.messages import ShotReport, SnapOrder
from tests.integration.cameras.servers import free_port
from tests.parts import prometheus, require
from tests.serving import Served, photo, until

PACKAGING = Path(__file__).parents[2] / "packaging"
ALERTS = PACKAGING / "alerts.yaml"
ALERT_TESTS = Path(__file__).parents[1] / "fixtures" / "alerts-test.yaml"
DASHBOARD: dict[str, Any] = json.loads((PACKAGING / "grafana-dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
NAME = re.compile(r"\b(?:objectclassification|process)_[a-z_]+")


def promtool(*words: str, stdin: str | None = None) -> str:
    """Runs it, and returns all that it says."""
    require("prometheus")
    program = prometheus("promtool")
    assert program
    ran = subprocess.run([program, *words], input=stdin, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.mark.debian
def test_the_page_is_as_prometheus_wants_it(server: Served) -> None:
    page = server.call("GET", "/metrics").text
    assert promtool("check", "metrics", stdin=page) == ""


@pytest.mark.debian
def test_every_alert_goes_off_when_it_should_and_not_before() -> None:
    promtool("check", "rules", str(ALERTS))
    promtool("test", "rules", str(ALERT_TESTS))
    names = set(re.findall(r"- alert: (\w+)", ALERTS.read_text()))
    tested = re.findall(r"- name: (\w+)\n", ALERT_TESTS.read_text())
    assert names == set(tested)


@pytest.mark.parametrize("file", ["alerts.yaml", "grafana-dashboard.json"])
def test_every_metric_exists(server: Served, file: str) -> None:
    page = server.call("GET", "/metrics").text
    there = set(re.findall(r"^(?:# TYPE )?([a-z_]+)[ {]", page, flags=re.MULTILINE))
    asked = set(NAME.findall((PACKAGING / file).read_text()))
    assert len(asked) > 10
    assert asked <= there


def test_grafana_s_own_library_knows_every_field() -> None:
    register_default_plugins()
    read = Dashboard.from_json(json.loads(json.dumps(DASHBOARD)))
    written = json.loads(JSONEncoder().encode(read))
    assert list(lost(DASHBOARD, written)) == []


def test_panels_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.debian
def test_a_real_prometheus_answers_every_panel(tmp_path: Path) -> None:
    require("prometheus")
    with Served(tmp_path / "data") as server, server.camera("door") as camera:
        with watched(server, tmp_path) as ask:
            until(lambda: bool(ask("query", query="up == 1")["result"]))
            server.call("GET", "/nowhere")
            empty = [target["expr"] for panel in PANELS for target in panel["targets"]]

            def all_answered() -> bool:
                take_picture(server, camera)
                empty[:] = [expression for expression in empty if not has_data(ask, expression)]
                return not empty

            try:
                until(all_answered)
            except AssertionError:
                pytest.fail(f"no data: {empty}")
            rules = ask("rules")["groups"][0]["rules"]
    assert len(rules) == ALERTS.read_text().count("- alert:")
    assert {rule["lastError"] for rule in rules if "lastError" in rule} <= {""}


@contextmanager
def watched(server: Served, folder: Path) -> Iterator[Any]:
    """A Prometheus that scrapes a server as `packaging/prometheus.yaml` says, but more often."""
    (folder / "token").write_text(server.new_token("viewer"))
    config = (PACKAGING / "prometheus.yaml").read_text()
    for said, here in (
        ("15s", "200ms"),
        ("localhost:8000", f"127.0.0.1:{server.port}"),
        ("/etc/prometheus/objectclassification.token", str(folder / "token")),
        ("- alerts.yaml", f"- {ALERTS}"),
    ):
        assert said in config
        config = config.replace(said, here)
    (folder / "prometheus.yaml").write_text(config)
    promtool("check", "config", str(folder / "prometheus.yaml"))
    program, port = prometheus("prometheus"), free_port()
    assert program
    arguments = {
        "config.file": folder / "prometheus.yaml",
        "storage.tsdb.path": folder / "prometheus",
        "web.listen-address": f"127.0.0.1:{port}",
    }
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *(f"--{name}={value}" for name, value in arguments.items())], stderr=log
        )

    def ask(what: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{port}/api/v1/{what}"
        answer = requests.get(url, params=query, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    try:
        until(lambda: "Server is ready" in (folder / "prometheus.log").read_text())
        yield ask
    finally:
        process.terminate()
        process.wait(30)


def has_data(ask: Any, expression: str) -> bool:
    """Whether a panel would show something: a query with Grafana's variables filled in."""
    filled = expression.replace("$__rate_interval", "20s").replace("$instance", ".*")
    assert "$" not in filled
    found = ask("query", query=filled)["result"]
    return any(not math.isnan(float(series["value"][1])) for series in found)


def take_picture(server: Served, camera: Any) -> None:
    """One snap through all its stages."""
    server.call("POST", "/api/snaps", json={"to": ["door"]})
    order = camera.hear(SnapOrder)
    camera.say(ShotReport(snap=order.id, camera="door", state="delivered"))
    camera.say(ShotReport(snap=order.id, camera="door", state="captured"))
    path = f"/snippets/{camera.places['door'].snippet}"
    put = server.call("PUT", path, data=photo(order.id), params={"snap": order.id})
    assert put.status_code == 201


def lost(told: Any, kept: Any, where: str = "") -> Iterator[str]:
    """What one JSON value says and another does not."""
    if isinstance(told, dict) and isinstance(kept, dict):
        for key, value in told.items():
            yield from lost(value, kept.get(key), f"{where}.{key}")
    elif isinstance(told, list) and isinstance(kept, list) and len(told) == len(kept):
        for number, (one, other) in enumerate(zip(told, kept, strict=True)):
            yield from lost(one, other, f"{where}[{number}]")
    elif told != kept:
        yield f"{where}: {told!r} became {kept!r}"

"""The API's own description: valid, complete, and readable without another host."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from objectclassification import __version__
from tests.serving import Served, photo

OPEN = ("/healthz", "/readyz", "/api/joins/look", "/api/joins/redeem")
METHODS = {"get", "put", "post", "patch", "delete"}


@pytest.fixture(scope="module")
def document(server: Served) -> Any:
    return server.call("GET", "/openapi.json", token="").json()


def operations(document: Any) -> list[tuple[str, str, Any]]:
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        here = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return here + [ref for inner in value.values() for ref in references(inner)]
    if isinstance(value, list):
        return [ref for inner in value for ref in references(inner)]
    return []


def test_it_says_what_it_is(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == __version__
    assert len(operations(document)) == 62
    assert {method for method, _, _ in operations(document)} == METHODS


def test_it_is_valid(document: Any) -> None:
    validate(document)


def test_every_reference_leads_somewhere(document: Any) -> None:
    found = references(document)
    assert found
    for reference in found:
        target = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


def test_every_schema_is_one(document: Any) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_answer_has_a_schema(document: Any) -> None:
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            where = f"{method} {path} {status}"
            assert response["description"], where
            if status in ("204", "304"):
                assert "content" not in response, where
                continue
            assert response["content"], where
            for kind, content in response["content"].items():
                assert content["schema"], f"{where} {kind}"


def test_every_call_says_its_problems_and_its_token(document: Any) -> None:
    for _, path, operation in operations(document):
        problems = {s for s in operation["responses"] if s.startswith(("4", "5"))}
        assert {"400", "503"} <= problems
        assert ({"401", "403"} <= problems) == ("security" in operation)
        for status in problems:
            assert "application/problem+json" in operation["responses"][status]["content"]
        assert ("security" in operation) == (path not in OPEN)
        assert operation["summary"]


def schema_of(document: Any, method: str, path: str, status: str) -> Draft202012Validator:
    content = document["paths"][path][method]["responses"][status]["content"]
    schema = {**content["application/json"]["schema"], "components": document["components"]}
    return Draft202012Validator(schema)


def test_real_answers_fit(document: Any, server: Served) -> None:
    made = server.call("PUT", "/snippets/1", data=photo("openapi"))
    server.settle()
    schema_of(document, "put", "/snippets/{number}", "201").validate(made.json())
    snap = server.call("POST", "/api/snaps?wait=1", json={"to": ["door"], "context": {"a": 1}})
    schema_of(document, "post", "/api/snaps", "200").validate(snap.json())
    camera = server.call("PATCH", "/api/cameras/door", json={"detect": False})
    schema_of(document, "patch", "/api/cameras/{name}", "200").validate(camera.json())
    join = server.call("POST", "/api/joins", json={"camera": "openapi"})
    schema_of(document, "post", "/api/joins", "201").validate(join.json())
    good = server.call("POST", "/api/joins/look", json={"code": join.json()["code"]})
    schema_of(document, "post", "/api/joins/look", "200").validate(good.json())
    token = server.call("POST", "/api/joins/redeem", json={"code": join.json()["code"]})
    schema_of(document, "post", "/api/joins/redeem", "201").validate(token.json())
    token = server.call("POST", "/api/tokens", json={"role": "viewer"})
    schema_of(document, "post", "/api/tokens", "201").validate(token.json())
    sent = server.call("POST", "/api/similar", data=photo("openapi"))
    schema_of(document, "post", "/api/similar", "200").validate(sent.json())
    for path, real in {
        "/snippets": "/snippets",
        "/snippets/{number}": "/snippets/1",
        "/api/pictures": "/api/pictures",
        "/api/pictures/{picture_id}": f"/api/pictures/{made.json()['id']}",
        "/api/pictures/{picture_id}/similar": f"/api/pictures/{made.json()['id']}/similar",
        "/api/pictures/counts": "/api/pictures/counts",
        "/api/pictures/scores": "/api/pictures/scores?label=volcano",
        "/api/deletions": "/api/deletions",
        "/api/snaps": "/api/snaps",
        "/api/snaps/{snap_id}": f"/api/snaps/{snap.json()['snap']}",
        "/api/cameras": "/api/cameras",
        "/api/tokens": "/api/tokens",
        "/api/sessions": "/api/sessions",
    }.items():
        answer = server.call("GET", real)
        assert answer.status_code == 200
        schema_of(document, "get", path, "200").validate(answer.json())
    problem = document["components"]["schemas"]["Problem"]
    Draft202012Validator(problem).validate(server.call("GET", "/snippets/9999").json())


def test_the_docs_need_no_other_host(server: Served) -> None:
    page = server.call("GET", "/docs", token="")
    assert page.headers["content-type"].startswith("text/html")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert addresses
    for address in addresses:
        assert address.startswith("/"), address
        assert server.call("GET", address, token="").status_code == 200
    assert not re.findall(r"https?://(?!127\.0\.0\.1)", page.text)

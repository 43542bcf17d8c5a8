"""The OpenAPI document and its page work on a host without a static file server."""

from __future__ import annotations

import re

from django.test import Client


def test_the_document_lists_every_endpoint():
    paths = Client().get("/api/openapi.json").json()["paths"]
    assert set(paths) == {
        "/api/django-starter/monitoring/health",
        "/api/django-starter/monitoring/health/async",
        "/api/django-starter/monitoring/health/native-async",
        "/api/django-starter/monitoring/health/sync",
        "/api/demo/movie/movie",
        "/api/demo/movie/movie/async",
    }
    for name in ("async", "sync"):
        responses = paths[f"/api/django-starter/monitoring/health/{name}"]["get"]["responses"]
        assert set(responses) == {"200", "503"}


def test_the_page_and_all_that_it_loads_come_from_here():
    answer = Client().get("/api/docs")
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "/api/openapi.json" in page
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
    assert len(loaded) >= 3
    for url in loaded:
        response = Client().get(url)
        assert response.status_code == 200, url
        assert b"".join(response.streaming_content)


def test_only_the_pages_own_files_are_served():
    for path in ("/static/ninja/..", "/static/ninja/no.js", "/static/config/settings.py"):
        assert Client().get(path).status_code == 404, path

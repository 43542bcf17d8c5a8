"""The ladder's entry points, around this project and around a plain one that is not ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import timeit
from importlib import import_module
from pathlib import Path

import pytest
from asgi_client import request, run
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory, override_settings

from config.asgi_shared_thread import SharedThreadASGIHandler

LADDER = Path(__file__).resolve().parents[2] / "roles/ladder/files"
HEALTH = "/api/django-starter/monitoring/health"
MOVIES = "/api/demo/movie/movie"
RUNGS = ["bare", "view", "middleware"]


@pytest.fixture(scope="module")
def entry_points():
    """Both entry points of this project's ladder, by interface."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(LADDER))
        loaded = {}
        for interface, project in (("wsgi", "wsgi"), ("asgi", "asgi_shared_thread")):
            patch.setenv("SERVERBENCH_APPLICATION", f"config.{project}:application")
            loaded[interface] = import_module(f"serverbench_ladder.{interface}")
        yield loaded


def ask_wsgi(application, path):
    seen = {}

    def start_response(status, headers):
        seen["status"], seen["headers"] = int(status.split()[0]), dict(headers)

    answer = application(RequestFactory().get(path).environ, start_response)
    body = b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    return seen["status"], {name.lower(): value for name, value in seen["headers"].items()}, body


def ask_asgi(application, path):
    reply = run(request(application, path))
    return reply.status, {name.lower(): value for name, value in reply.headers}, reply.body


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request, entry_points):
    application = entry_points[request.param].application
    asked = {"wsgi": ask_wsgi, "asgi": ask_asgi}[request.param]
    return lambda path: asked(application, path)


@pytest.mark.parametrize("rung", RUNGS)
def test_the_rungs_give_the_same_answer(ask, rung):
    status, headers, body = ask(f"/_serverbench/{rung}/")
    assert (status, json.loads(body)) == (200, {"status": "ok"})
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == str(len(body))


def test_middleware_is_on_its_own_rung_and_on_no_lower_one(ask):
    marks = {"x-frame-options", "x-content-type-options", "referrer-policy"}
    found = {rung: marks & set(ask(f"/_serverbench/{rung}/")[1]) for rung in RUNGS}
    assert found == {"bare": set(), "view": set(), "middleware": marks}


def test_everything_else_is_the_projects(ask):
    assert json.loads(ask(HEALTH)[2]) == {"status": "ok"}
    assert json.loads(ask(MOVIES)[2])["count"] == 1000
    for path in ("/_serverbench/", "/_serverbench/bare", "/_serverbench/other/", "/nothing"):
        assert ask(path)[0] == 404


def test_the_projects_settings_are_as_they_were(entry_points):
    assert len(entry_points) == 2
    assert len(settings.MIDDLEWARE) == 7
    assert settings.ROOT_URLCONF == "config.urls"


@pytest.mark.usefixtures("entry_points")
def test_middleware_that_wants_a_login_lets_the_rung_pass():
    ladder = import_module("serverbench_ladder")
    path = "/_serverbench/middleware/"
    login = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, login], LOGIN_URL="/login"):
        rung = ladder.make_rungs(WSGIHandler)[path]
        assert ask_wsgi(WSGIHandler(), HEALTH)[0] == 302
    assert ask_wsgi(rung, path)[0] == 200


def test_the_rungs_are_made_of_the_projects_kind_of_handler(entry_points):
    rungs = entry_points["asgi"]._rung_at.__self__
    assert isinstance(rungs["/_serverbench/view/"], SharedThreadASGIHandler)


def test_the_look_up_costs_next_to_nothing(entry_points):
    calls = 20_000
    ladder = entry_points["wsgi"]

    def nothing(_environ, _start_response):
        return ()

    kept, ladder._project = ladder._project, nothing
    environ = {"PATH_INFO": HEALTH}
    try:
        through = min(timeit.repeat(lambda: ladder.application(environ, None), number=calls))
        direct = min(timeit.repeat(lambda: nothing(environ, None), number=calls))
    finally:
        ladder._project = kept
    # Less than a hundredth of what the leanest bare server spends on a request (about 25 us).
    assert (through - direct) / calls < 2.5e-6


FOREIGN = """
import os
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="x",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
urlpatterns = [path("hello/", lambda request: HttpResponse("hello"))]

from django.core.{interface} import get_{interface}_application

site = type("Holder", (), {{"app": get_{interface}_application()}})
"""
ASK = """
import sys
sys.path[:0] = [{ladder!r}, {tests!r}]
from serverbench_ladder.{interface} import application
from django.test import RequestFactory
for path in {paths!r}:
    if {interface!r} == "wsgi":
        body = b"".join(application(RequestFactory().get(path).environ, lambda *_: None))
    else:
        from asgi_client import request, run
        body = run(request(application, path)).body
    print(body.decode())
"""


def run_foreign(folder, interface, application):
    (folder / "shop.py").write_text(FOREIGN.format(interface=interface))
    paths = [*(f"/_serverbench/{rung}/" for rung in RUNGS), "/hello/"]
    script = ASK.format(
        ladder=str(LADDER), tests=str(Path(__file__).parent), interface=interface, paths=paths
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "SERVERBENCH_APPLICATION": application},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_it_works_around_a_plain_project_that_is_not_ours(tmp_path, interface):
    done = run_foreign(tmp_path, interface, "shop:site.app")
    assert done.stdout.splitlines() == ['{"status": "ok"}'] * 3 + ["hello"], done.stderr


@pytest.mark.parametrize("application", ["", "shop"])
def test_without_a_project_it_says_what_to_set(tmp_path, application):
    done = run_foreign(tmp_path, "wsgi", application)
    assert done.returncode != 0
    assert f"SERVERBENCH_APPLICATION is {application!r}; accepted:" in done.stderr

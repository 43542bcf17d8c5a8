"""Middleware that stays on the event loop answers exactly as Django's own."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie

import pytest
from asgi_client import request, run
from asgiref.sync import SyncToAsync
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory, override_settings

from config import settings_async
from config.asgi_shared_thread import SharedThreadASGIHandler

HEALTH = "/api/django-starter/monitoring/health"
# What differs from one request to the next, in cookies, their dates and the sync health's report.
_CHANGING = re.compile(
    r"(?<=csrftoken=)\w+|(?<=sessionid=)\w+|(?<=messages=)[^;]+|(?<=expires=)[^;]+"
    r"|\"(timestamp|uptime_s)\": [^,]+"
)


def _handler(middleware):
    with override_settings(MIDDLEWARE=middleware):
        return ASGIHandler()


@pytest.fixture(scope="module")
def stacks():
    return _handler(settings.MIDDLEWARE), _handler(settings_async.MIDDLEWARE)


@pytest.fixture(autouse=True)
def _views():
    with override_settings(ROOT_URLCONF="middleware_urls"):
        yield


class Browser:
    """One client of one handler, with its cookies."""

    def __init__(self, handler):
        self.handler = handler
        self.cookies: dict[str, str] = {}

    def ask(self, path, method="GET", body=b"", headers=()):
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = [(b"cookie", cookies.encode()), *headers] if cookies else list(headers)
        reply = run(request(self.handler, path, method=method, body=body, headers=sent))
        for name, value in reply.headers:
            if name == "Set-Cookie":
                for key, morsel in SimpleCookie(value).items():
                    self.cookies[key] = morsel.value
        return reply


def _compared(reply):
    # The sync health's report is now one digit longer, now shorter.
    length = {str(len(reply.body)): "that of the body"}
    headers = [
        (name, length.get(value, value) if name == "Content-Length" else _CHANGING.sub("*", value))
        for name, value in reply.headers
    ]
    return reply.status, headers, _CHANGING.sub("*", reply.text)


def test_the_settings_replace_every_default_middleware():
    assert len(settings_async.MIDDLEWARE) == len(settings.MIDDLEWARE) == 7
    assert all(path.startswith("config.middleware_async.") for path in settings_async.MIDDLEWARE)


@pytest.mark.parametrize(
    "path",
    [
        HEALTH,
        f"{HEALTH}/native-async",
        f"{HEALTH}/async",
        f"{HEALTH}/sync",
        "/api/demo/movie/movie",
        "/api/demo/movie/movie/async",
        "/api/docs",
        "/api/openapi.json",
        "/no/such/page",
        "/slashed",
        "/nothing",
        "/user",
        "/peek",
    ],
)
def test_answers_and_headers_are_those_of_the_default_stack(stacks, path):
    usual, on_the_loop = (_compared(Browser(handler).ask(path)) for handler in stacks)
    assert on_the_loop == usual
    assert ("X-Content-Type-Options", "nosniff") in usual[1]


def test_a_host_not_allowed_is_refused_alike(stacks):
    headers = [(b"host", b"evil.example")]
    usual, on_the_loop = (_compared(Browser(h).ask("/nothing", headers=headers)) for h in stacks)
    assert on_the_loop == usual
    assert usual[0] == 400


@pytest.mark.parametrize("every_request", [False, True])
def test_sessions_are_kept_read_and_deleted_alike(stacks, every_request):
    with override_settings(SESSION_SAVE_EVERY_REQUEST=every_request):
        outcomes = []
        for handler in stacks:
            browser = Browser(handler)
            paths = ("/counter", "/counter", "/peek", "/nothing", "/forget", "/peek")
            outcomes.append([_compared(browser.ask(path)) for path in paths])
    assert outcomes[1] == outcomes[0]
    assert [text for _, _, text in outcomes[0]] == ["1", "2", "2", "nothing", "forgotten", "None"]


@pytest.mark.parametrize("storage", ["fallback.FallbackStorage", "session.SessionStorage"])
def test_messages_arrive_alike(stacks, storage):
    with override_settings(MESSAGE_STORAGE=f"django.contrib.messages.storage.{storage}"):
        outcomes = []
        for handler in stacks:
            browser = Browser(handler)
            paths = ("/say", "/nothing", "/hear", "/hear")
            outcomes.append([_compared(browser.ask(path)) for path in paths])
    assert outcomes[1] == outcomes[0]
    assert [text for _, _, text in outcomes[0]] == ["said", "nothing", "hello", ""]


@pytest.mark.parametrize("in_session", [False, True])
def test_forms_need_their_token_alike(stacks, in_session):
    urlencoded = (b"content-type", b"application/x-www-form-urlencoded")
    with override_settings(CSRF_USE_SESSIONS=in_session):
        outcomes = []
        for handler in stacks:
            browser = Browser(handler)
            stranger = Browser(handler).ask("/form", "POST", b"word=x", [urlencoded])
            shown = browser.ask("/form")
            body = f"word=yes&csrfmiddlewaretoken={shown.text}".encode()
            right = browser.ask("/form", "POST", body, [urlencoded])
            wrong = browser.ask("/form", "POST", b"word=no", [urlencoded])
            replies = [_compared(reply) for reply in (stranger, right, wrong)]
            outcomes.append([*replies, _compared(shown)[:2]])
    assert outcomes[1] == outcomes[0]
    assert [reply[0] for reply in outcomes[0]] == [403, 200, 403, 200]
    assert outcomes[0][1][2] == "yes"


def test_they_serve_wsgi_too():
    with override_settings(MIDDLEWARE=settings_async.MIDDLEWARE):
        on_the_loop = WSGIHandler()
    usual = WSGIHandler()
    for path in (HEALTH, "/counter", "/form", "/no/such/page"):
        answers = []
        for handler in (usual, on_the_loop):
            seen = []
            environ = RequestFactory().get(path).environ
            body = b"".join(handler(environ, lambda *start, seen=seen: seen.append(start)))
            text = "" if path == "/form" else body.decode()
            answers.append((_CHANGING.sub("*", repr(seen)), text))
        assert answers[0] == answers[1]


def test_a_request_goes_to_the_thread_twice_and_not_for_each_middleware(stacks, monkeypatch):
    hops = []
    original = SyncToAsync.thread_handler

    def note(self, *arguments, **named):
        hops.append(self.func)
        return original(self, *arguments, **named)

    monkeypatch.setattr(SyncToAsync, "thread_handler", note)
    counts = []
    for handler in stacks:
        hops.clear()
        Browser(handler).ask("/nothing")
        counts.append(len(hops))
    # Django's signals at the start and the end of a request are what is left.
    assert counts[1] == 2
    assert counts[0] >= 10


def test_both_tunings_work_together():
    with override_settings(MIDDLEWARE=settings_async.MIDDLEWARE):
        both = SharedThreadASGIHandler()
    browser = Browser(both)
    assert [browser.ask(path).text for path in ("/counter", "/counter")] == ["1", "2"]

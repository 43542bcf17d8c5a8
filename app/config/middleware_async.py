"""Django's default middleware without a thread hop for each: `config.settings_async` uses it.

Django calls the default middleware "async-capable", but under ASGI each of its steps is handed to a
thread and waited for, a dozen times a request, whether or not it has anything to wait for. Almost
always it has not: it reads a cookie or sets a header. The classes here run such a step where the
request is, on the event loop, and hand a step to the thread only when it may really wait: saving a
session, storing messages, checking the CSRF token of a POST. Each is Django's own class with only
the place of execution changed, so headers, cookies and decisions are the same; under WSGI they
behave as Django's in every respect.

The price:

- They rest on which steps of Django's middleware may wait, read from the source of Django 5.2 to
  6.1; look again before another version. `tests/app/test_app_middleware_async.py` compares answers.
- A session engine or a message storage of your own that talks to something when it is constructed
  would block the event loop: those that come with Django do not.
- `manage.py check --deploy` looks for three of Django's middleware by name and warns that they are
  missing (security.W001 to W003); they are not.

To use it in your own project: copy this file and `settings_async.py`. Middleware of your own that
is synchronous only still costs a thread, and puts everything between itself and the view into it:
`docs/asgi-tuning.md`.
"""

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.messages.storage.base import BaseStorage
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest, HttpResponse
from django.middleware import clickjacking, common, csrf, security

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


class OnTheLoop:
    """Runs the steps of a middleware on the event loop, those that may wait in the thread.

    To stand before a class that inherits Django's `MiddlewareMixin`.
    """

    def may_wait_before(self, request: HttpRequest) -> bool:  # noqa: ARG002 - for those that override
        """Tell whether `process_request` could block for this request."""
        return False

    def may_wait_after(self, request: HttpRequest, response: HttpResponse) -> bool:  # noqa: ARG002
        """Tell whether `process_response` could block for this answer."""
        return False

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        response = None
        if hasattr(self, "process_request"):
            if self.may_wait_before(request):
                response = await sync_to_async(self.process_request)(request)
            else:
                response = self.process_request(request)
        response = response or await self.get_response(request)
        if hasattr(self, "process_response"):
            if self.may_wait_after(request, response):
                return await sync_to_async(self.process_response)(request, response)
            return self.process_response(request, response)
        return response


class SecurityMiddleware(OnTheLoop, security.SecurityMiddleware):
    """Reads settings and sets headers."""


class SessionMiddleware(OnTheLoop, sessions.SessionMiddleware):
    """Waits to save a session; a session is read only when somebody asks for its values."""

    def may_wait_after(self, request, response):  # noqa: ARG002
        session = getattr(request, "session", None)
        if session is None:
            return False
        changed = session.modified or settings.SESSION_SAVE_EVERY_REQUEST
        return changed and not session.is_empty()


class CommonMiddleware(OnTheLoop, common.CommonMiddleware):
    """Looks at paths and sets headers."""


class CsrfViewMiddleware(OnTheLoop, csrf.CsrfViewMiddleware):
    """Waits to read a form, and for the session where that holds the secret."""

    def __init__(self, get_response):
        super().__init__(get_response)
        if self.async_mode:
            # Django decides by the kind of function whether it hands it to a thread.
            self.process_view = self._process_view_async

    def may_wait_before(self, request):  # noqa: ARG002
        return settings.CSRF_USE_SESSIONS

    def may_wait_after(self, request, response):  # noqa: ARG002
        return settings.CSRF_USE_SESSIONS

    async def _process_view_async(self, request, callback, callback_args, callback_kwargs):
        arguments = (request, callback, callback_args, callback_kwargs)
        if request.method in _SAFE_METHODS or getattr(callback, "csrf_exempt", False):
            return super().process_view(*arguments)
        return await sync_to_async(super().process_view)(*arguments)


class AuthenticationMiddleware(OnTheLoop, auth.AuthenticationMiddleware):
    """Sets `request.user` to something that looks the user up when it is first used."""


class MessageMiddleware(OnTheLoop, messages.MessageMiddleware):
    """Waits to store messages, if there are any or if some were read."""

    def may_wait_after(self, request, response):  # noqa: ARG002
        storage = getattr(request, "_messages", None)
        if storage is None:
            return False
        untouched = isinstance(storage, BaseStorage) and not (storage.used or storage.added_new)
        return not untouched or type(storage).update is not BaseStorage.update


class XFrameOptionsMiddleware(OnTheLoop, clickjacking.XFrameOptionsMiddleware):
    """Sets a header."""

"""Views that make the middleware work: a session, messages, a form, a user."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path

from config.urls import urlpatterns as app_patterns


def counter(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


def peek(request):
    return HttpResponse(str(request.session.get("visits")))


def forget(request):
    request.session.flush()
    return HttpResponse("forgotten")


def say(request):
    messages.info(request, "hello")
    return HttpResponse("said")


def hear(request):
    return HttpResponse(" ".join(message.message for message in messages.get_messages(request)))


def form(request):
    return HttpResponse(request.POST["word"] if request.method == "POST" else get_token(request))


async def user(request):
    known = await request.auser()
    return HttpResponse(f"{known} {await sync_to_async(lambda: request.user.is_anonymous)()}")


async def nothing(_request):
    return HttpResponse("nothing")


urlpatterns = [
    path("counter", counter),
    path("peek", peek),
    path("forget", forget),
    path("say", say),
    path("hear", hear),
    path("form", form),
    path("user", user),
    path("nothing", nothing),
    path("slashed/", nothing),
    path("", include(app_patterns)),
]

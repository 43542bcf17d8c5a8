"""Views that tell which thread and connection they run with."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection
from django.http import HttpResponse
from django.urls import path
from django.utils import translation

from movies.models import Movie

WHO = contextvars.ContextVar("who", default="nobody")
started = threading.Event()
release = threading.Event()
calls: list[str] = []
late: list[int] = []
tasks: set[asyncio.Task] = set()


def thread(_request):
    time.sleep(0.02)
    return HttpResponse(str(threading.get_ident()))


async def async_thread(_request):
    return HttpResponse(str(await sync_to_async(threading.get_ident)()))


def database(_request):
    Movie.objects.count()
    return HttpResponse(str(id(connection.connection)))


async def locals_kept(_request, name):
    WHO.set(name)
    translation.activate(name)
    await asyncio.sleep(0.02)
    language = await sync_to_async(translation.get_language)()
    who = await sync_to_async(WHO.get)()
    return HttpResponse(f"{who} {language}")


async def sleeps(_request):
    await asyncio.sleep(0.2)
    return HttpResponse("slept")


async def reads_in_pieces(_request):
    count = 0
    async for _ in Movie.objects.order_by("id").aiterator(chunk_size=10):
        count += 1
        if count == 20:
            started.set()
            await sync_to_async(release.wait, thread_sensitive=False)(10)
    return HttpResponse(str(count))


def fails(_request):
    raise LookupError("on purpose")


def breaks_database(_request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM there_is_no_such_table")


def nested(_request):
    async def inner():
        return await sync_to_async(Movie.objects.count)()

    return HttpResponse(str(async_to_sync(inner)()))


def own_loop(_request):
    return HttpResponse(str(asyncio.run(Movie.objects.acount())))


async def leaves_a_task(_request):
    async def later():
        await asyncio.sleep(0.05)
        late.append(await Movie.objects.acount())

    task = asyncio.create_task(later())
    tasks.add(task)
    return HttpResponse("soon")


def waits(_request):
    calls.append("waits")
    started.set()
    release.wait(10)
    return HttpResponse("done")


def counted(_request):
    calls.append("counted")
    return HttpResponse("counted")


urlpatterns = [
    path("thread", thread),
    path("async-thread", async_thread),
    path("database", database),
    path("locals/<str:name>", locals_kept),
    path("sleeps", sleeps),
    path("reads-in-pieces", reads_in_pieces),
    path("fails", fails),
    path("breaks-database", breaks_database),
    path("nested", nested),
    path("own-loop", own_loop),
    path("leaves-a-task", leaves_a_task),
    path("waits", waits),
    path("counted", counted),
]

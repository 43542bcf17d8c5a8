from django.contrib.staticfiles.views import serve
from django.urls import path

from config.api import api

urlpatterns = [
    path("api/", api.urls),
    # The docs page's own scripts and nothing else. Django calls this view insecure because it is
    # slow and serves any static file; here it stands for a few fixed ones that nobody measures, and
    # saves a host a collectstatic step and a web server for them.
    path(
        "static/ninja/<str:name>",
        lambda request, name: serve(request, f"ninja/{name}", insecure=True),
    ),
]

import json

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from bulletin.models import Notice


def about(request):
    return JsonResponse({"board": "noticeboard", "moderated": bool(settings.MODERATOR_TOKEN)})


@csrf_exempt
def notices(request):
    if request.method == "POST":
        if request.headers.get("X-Board") != "lobby":
            return HttpResponse("which board?\n", status=400, content_type="text/plain")
        given = json.loads(request.body)
        notice = Notice.objects.create(text=given["text"], author=given["author"])
        return HttpResponse(
            f"notice {notice.id} by {notice.author}\n", status=201, content_type="text/plain"
        )
    newest = Notice.objects.order_by("-id").first()
    return JsonResponse({"newest": newest and newest.text, "board": "lobby"})

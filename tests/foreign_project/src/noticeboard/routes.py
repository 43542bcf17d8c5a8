from bulletin import views
from django.urls import path

urlpatterns = [
    path("about", views.about),
    path("notices", views.notices),
]

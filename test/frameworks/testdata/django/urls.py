from django.http import HttpResponse
from django.urls import path


def page(request):
    return HttpResponse("<h1>first words</h1>")


urlpatterns = [path("", page)]

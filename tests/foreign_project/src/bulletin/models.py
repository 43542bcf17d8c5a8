from django.db import models


class Notice(models.Model):
    text = models.CharField(max_length=200)
    author = models.CharField(max_length=50)

    def __str__(self):
        return self.text

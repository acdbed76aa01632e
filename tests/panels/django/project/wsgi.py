"""The application, which also serves the admin's style sheets."""
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

application = StaticFilesHandler(get_wsgi_application())

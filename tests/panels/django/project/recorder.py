"""Writes down what the panel was sent: one line of JSON a request."""
import json
from pathlib import Path


class Recorder:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        seen = {
            "method": request.method,
            "path": request.get_full_path(),
            "fields": dict(request.headers),
        }
        with Path("requests").open("a") as record:
            record.write(json.dumps(seen) + "\n")
        return self.get_response(request)

"""What gunicorn serves: the version, which stands beside this file."""

from pathlib import Path

VERSION = Path(__file__).with_name("VERSION").read_text().strip()


def app(environ, start_response):
    body = f"{VERSION}\n".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

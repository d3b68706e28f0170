"""The echo app (test/apps/echo.cjs) on the server of the standard library, on $PORT: HTTP/1.0, one
request at a time, each on a connection of its own."""

import hashlib
import os
from wsgiref.simple_server import WSGIRequestHandler, make_server


def app(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    ident = environ.get("HTTP_X_ID", "")
    total = hashlib.sha1(body).hexdigest()[:16]
    worker = str(os.getpid())
    answer = f"id={ident} hash={total} worker={worker}\n".encode()
    forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
    head = [("X-Id", ident), ("X-Hash", total), ("X-Worker", worker), ("X-Seen-For", forwarded)]
    start_response("200 OK", head + [("Content-Length", str(len(answer)))])
    return [answer]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


make_server("127.0.0.1", int(os.environ["PORT"]), app, handler_class=Quiet).serve_forever()

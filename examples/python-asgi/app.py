"""An ASGI app that leaks: it remembers every visitor. Cofferdam replaces it before that hurts."""

import os

visitors = []


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    visitors.append(bytearray(b"x" * 8 * 1024))
    text = f"visitor {len(visitors)} of process {os.getpid()}\n".encode()
    head = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": text})

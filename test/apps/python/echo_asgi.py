"""The echo app (test/apps/echo.cjs) for ASGI servers: `uvicorn --uds SOCKET echo_asgi:app`."""

import asyncio
import hashlib
import os
from urllib.parse import parse_qs


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    digest = hashlib.sha1()
    more = True
    while more:
        message = await receive()
        digest.update(message.get("body", b""))
        more = message.get("more_body", False)
    query = parse_qs(scope["query_string"].decode())
    ident = dict(scope["headers"]).get(b"x-id", b"")
    total = digest.hexdigest()[:16].encode()
    worker = str(os.getpid()).encode()
    head = [(b"x-id", ident), (b"x-hash", total), (b"x-worker", worker)]
    if scope["path"] == "/slow":
        await asyncio.sleep(int(query.get("ms", ["100"])[0]) / 1000)
    if scope["path"] == "/download":
        size = int(query.get("bytes", ["65536"])[0])
        body = (ident + b"\n") * (size // (len(ident) + 1) + 1)
        body = body[:size]
    else:
        body = b"id=%s hash=%s worker=%s\n" % (ident, total, worker)
    await send({"type": "http.response.start", "status": 200, "headers": head})
    # In two pieces, without a length: chunked on the wire.
    await send({"type": "http.response.body", "body": body[:5], "more_body": True})
    await send({"type": "http.response.body", "body": body[5:]})

/**
 * The gateway as an app, for a pool without workers of its own kind: it forwards to whatever
 * listens on $UNIX_SOCKET.
 */
process.env.COFFERDAM_GATEWAY = JSON.stringify({
  listen: { port: Number(process.env.PORT), host: '127.0.0.1' },
  tls: null,
  settings: {
    kind: 'http',
    queueLength: 1000,
    queueTimeoutMs: 10_000,
    requestTimeoutMs: 0,
    slowLogMs: 0,
    bodyLimitBytes: 64 * 1024 * 1024,
    spoolAboveBytes: 1024 * 1024,
    trustedProxies: [],
    probePath: null,
    root: null,
    php: null,
  },
});
await import('../../dist/data/gateway/main.js');
process.emit('message', {
  type: 'worker',
  worker: 1,
  slot: 1,
  address: { kind: 'unix', path: process.env.UNIX_SOCKET },
  concurrency: 0,
  requestLimit: 0,
  warmupPath: null,
  reserved: false,
});

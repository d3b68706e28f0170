/**
 * The gateway as an app, for a pool without workers of its own kind: it forwards to whatever
 * listens on $UNIX_SOCKET, with the settings in $SETTINGS.
 */
process.env.COFFERDAM_GATEWAY = JSON.stringify({
  listen: { port: Number(process.env.PORT), host: '127.0.0.1' },
  tls: null,
  settings: JSON.parse(process.env.SETTINGS),
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

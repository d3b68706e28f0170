// Without a host Fastify listens on every address of `localhost`.
'use strict';
const fastify = require('fastify');

const app = fastify();
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
app.all('/*', async (request) => {
  const ms = Number(request.query.ms ?? 0);
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  return { pid: process.pid, url: request.url, bytes: request.body?.length ?? 0 };
});
app.listen({ port: Number(process.env.PORT ?? 0) });

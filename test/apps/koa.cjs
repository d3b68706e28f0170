'use strict';
const Koa = require('koa');

const app = new Koa();
app.use(async (ctx) => {
  let bytes = 0;
  for await (const chunk of ctx.req) bytes += chunk.length;
  const ms = Number(ctx.query.ms ?? 0);
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  ctx.body = { pid: process.pid, url: ctx.url, bytes };
});
app.listen(process.env.PORT ?? 0);

import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const app = new Hono();
app.all('*', async (c) => {
  const { pathname, search, searchParams } = new URL(c.req.url);
  const { byteLength } = await c.req.arrayBuffer();
  const ms = Number(searchParams.get('ms') ?? 0);
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  return c.json({ pid: process.pid, url: pathname + search, bytes: byteLength });
});
serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 0) });

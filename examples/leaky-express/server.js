// A small shop. It was written without a thought of Cofferdam, and it leaks: `sessions` keeps an
// entry of about 100 KB for every request that comes without a cookie (crawlers, health checks,
// API clients), and nobody ever takes one out again.
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';

const products = Array.from({ length: 170 }, (_, index) => ({
  id: index + 1,
  name: `Product ${index + 1}`,
  cents: 199 + ((index * 7919) % 9000),
}));

const sessions = new Map();
const auditLog = [];

const app = express();
app.disable('x-powered-by');
app.use(startSession);

app.get('/', (request, response) => {
  const offers = request.session.recommendations.slice(0, 12);
  const items = offers.map((offer) => `<li>${offer.name}: ${price(offer.cents)}</li>`);
  response.send(`<!doctype html><title>Shop</title><h1>For you</h1><ul>${items.join('')}</ul>`);
});

app.get('/products/:id', (request, response) => {
  const product = products[(Number(request.params.id) - 1) % products.length];
  response.json({ asked: request.params.id, ...product });
});

// The monthly report takes its time, as reports do.
app.get('/report', async (request, response) => {
  await sleep(250);
  const cents = products.reduce((sum, product) => sum + product.cents, 0);
  response.json({ month: request.query.month, total: price(cents) });
});

app.post('/photos/:name', express.raw({ type: '*/*', limit: '5mb' }), (request, response) => {
  const sha256 = createHash('sha256').update(request.body).digest('hex');
  response.status(201).json({ name: request.params.name, bytes: request.body.length, sha256 });
});

app.get('/health', (_, response) => response.send('ok'));

app.listen(Number(process.env.PORT ?? 3000));

function startSession(request, _, next) {
  const id = request.get('cookie') ?? randomUUID();
  let session = sessions.get(id);
  if (session === undefined) {
    session = { id, since: new Date(), recommendations: recommend(id) };
    sessions.set(id, session);
  }
  auditLog.push({ id, at: Date.now(), what: `${request.method} ${request.url}` });
  request.session = session;
  next();
}

function recommend(seed) {
  return products.map((product) => ({
    ...product,
    reason: `because ${seed} looked at ${product.name} on ${Date.now()}`,
    score: Math.random(),
  }));
}

function price(cents) {
  return `${(cents / 100).toFixed(2)} €`;
}

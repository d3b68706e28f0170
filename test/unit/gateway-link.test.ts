import { expect, test } from 'vitest';
import type { ToGateway } from '../../src/data/gateway/messages.ts';
import type { WorkerMessage } from '../../src/protocol.ts';
import type { GatewayEnd, Order } from '../../src/supervisor/gateway-books.ts';
import { createGatewayLink, type GatewayLink } from '../../src/supervisor/gateway-link.ts';

const ORDER: Order = {
  slot: 1,
  address: { kind: 'unix', path: '/run/x.sock' },
  concurrency: 1,
  requestLimit: 10,
  noticeAt: 8,
  warmupPath: null,
  reserved: false,
};

const DRAIN = {
  type: 'drain',
  deadlineMs: 0,
  longDeadlineMs: 0,
  handover: false,
  final: false,
} as const;

interface TestEnd extends GatewayEnd {
  readonly got: ToGateway[];
  orders(): Extract<ToGateway, { type: 'worker' }>[];
}

function makeEnd(): TestEnd {
  const got: ToGateway[] = [];
  return {
    got,
    post: (message) => void got.push(message),
    orders: () => got.filter((message) => message.type === 'worker'),
  };
}

function makeLink(): GatewayLink {
  return createGatewayLink({ log: () => undefined, onQueue: () => undefined });
}

/** A worker that is a child, and what came to it. */
function addChild(link: GatewayLink) {
  const said: WorkerMessage['type'][] = [];
  const told: string[] = [];
  const upstream = link.add(ORDER, ({ type }) => said.push(type), {
    child: {
      pidScript: '/run/pid.php',
      onChild: (pid) => told.push(`child ${pid}`),
      onLost: () => told.push('lost'),
    },
  });
  return { upstream, said, told };
}

test('all gateways have a worker of its own address, one at a time has a child', () => {
  const link = makeLink();
  const [first, second] = [makeEnd(), makeEnd()];
  link.attach(first);
  link.attach(second);
  link.add(ORDER, () => undefined);
  addChild(link);
  expect(first.orders().map(({ worker }) => worker)).toEqual([1]);
  expect(second.orders().map(({ worker, child }) => [worker, child])).toEqual([
    [1, undefined],
    [2, { pidScript: '/run/pid.php', pid: null, taken: [] }],
  ]);
});

test('a child goes to the next gateway with its pid and what is left of its requests', () => {
  const link = makeLink();
  const [first, second] = [makeEnd(), makeEnd()];
  link.attach(first);
  const [one, other] = [addChild(link), addChild(link)];
  link.heard(first, { type: 'child', worker: 1, pid: 71 });
  link.heard(first, { type: 'child', worker: 2, pid: 72 });
  const report = { requests: 7, inFlight: 0, longLived: 0, connections: 0, heapUsedBytes: 0 };
  const whole = { ...report, eventLoopUtilization: 0 };
  link.heard(first, { type: 'report', worker: 1, report: whole });
  link.detach(first);
  expect([one.told, other.told]).toEqual([
    ['child 71', 'lost'],
    ['child 72', 'lost'],
  ]);
  link.attach(second);
  expect(second.orders()).toMatchObject([
    { worker: 1, requestLimit: 3, noticeAt: 1, child: { pid: 71, taken: [71, 72] } },
    { worker: 2, requestLimit: 10, noticeAt: 8, child: { pid: 72, taken: [71, 72] } },
  ]);
  // Only who has it may speak of it.
  link.heard(first, { type: 'lost', worker: 1 });
  link.heard(second, { type: 'child', worker: 1, pid: 71 });
  expect(one.told).toEqual(['child 71', 'lost', 'child 71']);
});

test('a child that drains is nobody’s any more when its gateway ends', () => {
  const link = makeLink();
  const [first, second] = [makeEnd(), makeEnd()];
  link.attach(first);
  const child = addChild(link);
  link.heard(first, { type: 'child', worker: 1, pid: 71 });
  link.attach(second);
  child.upstream.send(DRAIN);
  expect(second.got).toEqual([]);
  expect(child.said).toEqual([]);
  link.detach(first);
  expect(child.said).toEqual(['drained']);
  expect(second.orders()).toEqual([]);
});

test('without a gateway there is nothing to drain', () => {
  const link = makeLink();
  const child = addChild(link);
  child.upstream.send(DRAIN);
  expect(child.said).toEqual(['drained']);
});

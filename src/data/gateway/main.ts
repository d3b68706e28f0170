/** The gateway's process: started by the supervisor like an app, spoken to over plain IPC. */
import type { WorkerOrder } from './crew.ts';
import { createFastCgiUpstream, type FastCgiOptions } from './fastcgi/upstream.ts';
import { createZygoteUpstream, type ChildBook } from './fastcgi/zygote.ts';
import { sendFile } from './files.ts';
import { createGateway, type UpstreamContext } from './gateway.ts';
import { createHttpUpstream } from './forward-http.ts';
import {
  GATEWAY_VARIABLE,
  type FromGateway,
  type GatewayBrief,
  type GatewaySettings,
  type ToGateway,
} from './messages.ts';
import type { Site } from './script-path.ts';
import { createLocator } from './site-memory.ts';
import type { Upstream } from './types.ts';

const REPORT_MS = 1000;
/** Without a supervisor the workers end soon; what they hold may still be answered. */
const ORPHAN_MS = 10_000;

const locate = createLocator();
const sites = new WeakMap<GatewaySettings, Site>();
const children: ChildBook = new Map();

await main();

// --- internal ---

async function main(): Promise<void> {
  const text = process.env[GATEWAY_VARIABLE];
  if (text === undefined || process.send === undefined) {
    throw new Error('this program is started by cofferdam, not by hand');
  }
  delete process.env[GATEWAY_VARIABLE];
  const brief = JSON.parse(text) as GatewayBrief;
  const gateway = await createGateway(brief, {
    tell,
    createUpstream,
    locate: (target, settings) => locate(siteOf(settings), target),
  });
  const { front } = gateway;
  process.on('message', (message: ToGateway) => gateway.hear(message));
  process.once('disconnect', () => leave(front));
  const reporting = setInterval(() => gateway.report(), REPORT_MS);
  reporting.unref();
  // The agent tells the supervisor why it could not listen.
  const giveUp = (): void => void setImmediate(() => process.exit(1));
  front.once('error', giveUp);
  front.once('listening', () => {
    front.off('error', giveUp).on('error', gateway.fault);
    // Whatever it was, it was about one request or one connection; all others go on.
    process.on('uncaughtException', gateway.fault);
  });
  // The agent knows this call: the socket is inherited where the supervisor holds it already.
  if ('path' in brief.listen) front.listen(brief.listen.path);
  else front.listen(brief.listen.port, brief.listen.host);
}

function createUpstream(order: WorkerOrder, context: UpstreamContext): Upstream {
  const { worker, address, slot, child } = order;
  const { settings, report } = context;
  if (settings().kind === 'http') return createHttpUpstream(address);
  const options: FastCgiOptions = {
    slot,
    // Whoever can connect to a FastCGI port can run any script: there are no others than sockets.
    socketPath: address.kind === 'unix' ? address.path : '',
    locate: (target) => locate(siteOf(settings()), target),
    get sendfileRoots() {
      return settings().php?.sendfileRoots ?? [];
    },
    sendFile,
    onStderr: ({ visit, text }) => report.phpSaid(visit, slot, text),
    onBadAnswer: ({ visit, script, detail }) => report.badAnswer(visit, slot, script, detail),
  };
  if (child === undefined) return createFastCgiUpstream(options);
  return createZygoteUpstream(options, {
    ...child,
    book: children,
    onChild: (pid) => tell({ type: 'child', worker, pid }),
    onLost: () => tell({ type: 'lost', worker }),
  });
}

/** Where there is no PHP, nothing runs, and its source is shown to nobody all the same. */
function siteOf(settings: GatewaySettings): Site {
  const known = sites.get(settings);
  if (known !== undefined) return known;
  const { root, php } = settings;
  const { extensions = ['.php'], index = 'index.html', frontController = null } = php ?? {};
  const site = { root: root ?? '', extensions, index, frontController };
  sites.set(settings, site);
  return site;
}

function tell(message: FromGateway): void {
  // The channel may close between the question and the answer; `disconnect` sees to the rest.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

/** The supervisor is gone: finish what is there, and leave. */
function leave(front: Awaited<ReturnType<typeof createGateway>>['front']): void {
  front.close(() => process.exit(0));
  if ('closeIdleConnections' in front) front.closeIdleConnections();
  setTimeout(() => process.exit(0), ORPHAN_MS).unref();
}

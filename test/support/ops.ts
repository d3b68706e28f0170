/** Asks the ops listener of a running Cofferdam, as a kubelet or a scraper would. */
import { get } from 'node:http';
import type { RunningCofferdam } from './cofferdam.ts';

export interface OpsAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly tookMs: number;
}

/** The URL that it logged; it is there before the first worker. */
export async function opsUrl(running: RunningCofferdam): Promise<string> {
  const [, url = ''] = await running.waitFor(/"event":"ops","url":"([^"]+)"/);
  return url;
}

/** A connection of its own, as probes have; rejects after `timeoutMs`. */
export function askOps(
  url: string,
  options: {
    readonly timeoutMs?: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly method?: string;
  } = {},
): Promise<OpsAnswer> {
  const { timeoutMs = 5000, headers = {}, method = 'GET' } = options;
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const request = get(url, { agent: false, headers, method, signal }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.once('error', reject).once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers['content-type'] ?? '',
          body,
          tookMs: performance.now() - startedAt,
        }),
      );
    });
    request.once('error', reject);
  });
}

/** Value of one series: `seriesOf(text, 'cofferdam_requests_total{pool="app",code="2xx"}')`. */
export function seriesOf(text: string, series: string): number {
  const line = text.split('\n').find((line) => line.startsWith(`${series} `));
  if (line === undefined) throw new Error(`there is no series ${series}`);
  return Number(line.slice(series.length + 1).replace('+Inf', 'Infinity'));
}

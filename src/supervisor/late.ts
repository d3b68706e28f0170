/** What is told of a request that takes long, or too long: with the stack, where it is PHP. */
import type { Kind } from '../config/kind.ts';
import { readPhpStack } from '../metrics/php-stack.ts';
import type { LateRequestAt } from './hearing.ts';
import type { Log } from './log.ts';

/** To be called at once: the request goes on, or control is about to have the worker killed. */
export function lateTeller(log: Log, { kind }: Kind): (request: LateRequestAt) => void {
  return ({ type, ...request }) => {
    const { pid } = request;
    const stack = kind !== 'php' || pid === undefined ? null : readPhpStack(pid);
    const fields = { ...request, stack: stack?.join(' < ') };
    if (type === 'slow') log.write('info', 'slow_request', fields);
    else log.write('warn', 'request_timeout', fields);
  };
}

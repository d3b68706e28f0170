/** `cofferdam leak`: find out whether an app leaks, how much, and where. */
import { readFile, mkdir, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { resolveApp } from '../config/app.ts';
import { CofferdamError, EXIT } from '../errors.ts';
import { renderArms } from '../leak/arms-text.ts';
import { parseArm, runArms } from '../leak/arms.ts';
import type { Arm } from '../leak/arms.ts';
import { PROFILE_INTERVAL_BYTES, runExperiment } from '../leak/experiment.ts';
import type { ExperimentOptions, Outcome } from '../leak/experiment.ts';
import { readSnapshots } from '../leak/heap-compare.ts';
import { buildReport } from '../leak/report.ts';
import type { Report } from '../leak/report.ts';
import { renderHtml } from '../leak/report-html.ts';
import { renderSuspect, renderText } from '../leak/report-text.ts';
import { readRequests } from '../leak/requests.ts';
import type { TargetOptions } from '../leak/target.ts';
import type { Verdict } from '../leak/verdict.ts';
import { formatAmount } from '../leak/words.ts';
import type { CommandContext } from './command.ts';
import { parseLeakFlags } from './leak-flags.ts';
import type { LeakArguments } from './leak-flags.ts';
import { startProgress } from './leak-progress.ts';
import { painterFor } from './terminal.ts';

export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const flags = parseLeakFlags(argv);
  if (flags.has('diff')) return diff(flags, context);
  // Before the app is looked for: what is wrong with a flag shall be said first.
  const asked = await optionsOf(flags, context);
  const target = targetOf(flags, context);
  const progress = startProgress(context.stderr);
  const { signal, release } = abortOnInterrupt();
  try {
    const options: Omit<ExperimentOptions, 'target'> = {
      ...asked,
      onProgress: progress.tell,
      signal,
    };
    const arms = armsOf(flags, target);
    if (arms.length > 1) {
      const outcomes = await runArms(arms, options);
      progress.end();
      const json = `${JSON.stringify({ schema: 1, arms: outcomes }, null, 2)}\n`;
      context.stdout.write(flags.has('json') ? json : renderArms(outcomes));
      return exitOf(outcomes[0]?.verdict);
    }
    const outcome = await runExperiment({ ...options, target });
    progress.end();
    await tell(outcome, flags, context, target);
    return exitOf(outcome.verdict);
  } finally {
    progress.end();
    release();
  }
}

// --- internal ---

const DEFAULTS = {
  durationMs: 60_000,
  thoroughDurationMs: 240_000,
  restMs: 5000,
  connections: 20,
  bootTimeoutMs: 30_000,
  limitBytes: 512 * 2 ** 20,
  trafficPerSecond: 50,
  report: 'leak.html',
} as const;

/** `--thorough`: so many requests between two checkpoints see 3 B each on Node 24. */
const THOROUGH_BATCH = 2000;

function exitOf(verdict: Verdict | undefined): number {
  if (verdict?.kind === 'leak') return EXIT.failed;
  return verdict?.kind === 'undecided' ? EXIT.undecided : EXIT.ok;
}

function targetOf(flags: LeakArguments, context: CommandContext): TargetOptions {
  const [word = null, ...more] = flags.words;
  if (more.length > 0) {
    throw new CofferdamError('COF_USAGE', `${JSON.stringify(more[0])} is one app too many`, {
      hint: 'Arguments of the app come after `--`; compare apps with --baseline.',
    });
  }
  const nodeArgs = (flags.text('node-args') ?? '').split(/\s+/).filter(Boolean);
  const app = resolveApp(word, context.cwd, { nodeArgs, env: context.env });
  return {
    app,
    args: flags.appArgs,
    nodeArgs,
    node: process.execPath,
    env: context.env,
    cwd: context.cwd,
    bootTimeoutMs: flags.number('boot-timeout') ?? DEFAULTS.bootTimeoutMs,
    output: flags.has('verbose') ? context.stderr : null,
  };
}

async function optionsOf(flags: LeakArguments, context: CommandContext) {
  const script = flags.text('script');
  const bodyFile = flags.text('body');
  const templates = await readRequests({
    path: flags.text('path') ?? '/',
    method: (flags.text('method') ?? (bodyFile === null ? 'GET' : 'POST')).toUpperCase(),
    body: bodyFile === null ? null : await readBody(resolve(context.cwd, bodyFile)),
    headers: headersOf(flags.list('header')),
    script: script === null ? null : resolve(context.cwd, script),
  });
  const thorough = flags.has('thorough');
  const folder = flags.text('keep-snapshots');
  if (folder !== null) await mkdir(resolve(context.cwd, folder), { recursive: true });
  return {
    templates,
    ratePerSecond: flags.number('rate'),
    connections: flags.number('connections') ?? DEFAULTS.connections,
    batch: flags.number('batch') ?? (thorough ? THOROUGH_BATCH : null),
    anyStatus: flags.has('any-status'),
    durationMs:
      flags.number('duration') ?? (thorough ? DEFAULTS.thoroughDurationMs : DEFAULTS.durationMs),
    maxRequests: flags.number('requests'),
    thorough,
    restMs: flags.number('rest') ?? DEFAULTS.restMs,
    name: true,
    snapshotFolder: folder === null ? null : resolve(context.cwd, folder),
  };
}

async function readBody(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new CofferdamError('COF_BAD_VALUE', `cannot read the body ${path}`, { cause });
  }
}

function headersOf(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((text) => {
      const match = /^([\w-]+): *(.*)$/.exec(text);
      if (match?.[1] !== undefined) return [match[1], match[2] ?? ''];
      const message = `--header ${JSON.stringify(text)} is not "name: value"`;
      throw new CofferdamError('COF_BAD_VALUE', message);
    }),
  );
}

function armsOf(flags: LeakArguments, target: TargetOptions): Arm[] {
  const arms: Arm[] = [{ name: 'app', target }];
  const baseline = flags.text('baseline');
  if (baseline !== null) {
    const app = resolveApp(baseline, target.cwd, { nodeArgs: target.nodeArgs });
    arms.push({ name: 'baseline', target: { ...target, app } });
  }
  return [...arms, ...flags.list('arm').map((text) => parseArm(text, target))];
}

async function tell(
  outcome: Outcome,
  flags: LeakArguments,
  context: CommandContext,
  target: TargetOptions,
): Promise<void> {
  const report = buildReport(outcome, {
    app: target.app,
    command: `cofferdam leak ${process.argv.slice(3).map(quote).join(' ')}`,
    at: new Date(),
    limitBytes: flags.number('memory-limit') ?? DEFAULTS.limitBytes,
    trafficPerSecond: flags.number('traffic') ?? DEFAULTS.trafficPerSecond,
  });
  const asJson = flags.has('json');
  const paint = painterFor(context.stdout, context.env);
  const text = asJson
    ? `${JSON.stringify(report, null, 2)}\n`
    : renderText(report, paint, context.cwd);
  context.stdout.write(text);
  const written = await writeFiles(report, outcome, flags, context);
  if (!asJson) for (const line of written) context.stdout.write(`${line}\n`);
}

async function writeFiles(
  report: Report,
  outcome: Outcome,
  flags: LeakArguments,
  context: CommandContext,
): Promise<string[]> {
  const written: string[] = [];
  if (!flags.has('no-report')) {
    const path = resolve(context.cwd, flags.text('report') ?? DEFAULTS.report);
    await writeFile(path, renderHtml(report));
    written.push(`Report: ${path}`);
  }
  const pprof = flags.text('pprof');
  const profile = outcome.culprit?.profile ?? null;
  if (pprof !== null && profile !== null) {
    const path = resolve(context.cwd, pprof);
    const { writePprof } = await import('../leak/pprof.ts');
    await writePprof(path, profile, PROFILE_INTERVAL_BYTES);
    written.push(`Profile: ${path}`);
  }
  return written;
}

function quote(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

async function diff(flags: LeakArguments, context: CommandContext): Promise<number> {
  if (flags.words.length < 2 || flags.words.length > 3) {
    throw new CofferdamError('COF_USAGE', '--diff takes two or three heap snapshots', {
      hint: 'cofferdam leak --diff one.heapsnapshot two.heapsnapshot [three.heapsnapshot]',
    });
  }
  const each = flags.number('requests');
  const progress = startProgress(context.stderr);
  const suspects = await readSnapshots(
    flags.words.map((path) => resolve(context.cwd, path)),
    {
      requests: each === null ? null : [each, each],
      onProgress: (read, total) =>
        progress.say(`reading ${formatAmount(read, 'bytes')} of ${formatAmount(total, 'bytes')}`),
    },
  );
  progress.end();
  if (flags.has('json')) {
    context.stdout.write(`${JSON.stringify({ schema: 1, suspects }, null, 2)}\n`);
  } else if (suspects.length === 0) {
    context.stdout.write('Nothing is held that is new in each interval.\n');
  } else {
    const lines = suspects.flatMap((one, at) => renderSuspect(one, at + 1, context.cwd));
    context.stdout.write(`Held by\n${lines.join('\n')}\n`);
  }
  return suspects.length === 0 ? EXIT.ok : EXIT.failed;
}

/** Ctrl-C ends the load and judges what was seen; a second one leaves at once. */
function abortOnInterrupt(): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return {
    signal: controller.signal,
    release: () => {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
    },
  };
}

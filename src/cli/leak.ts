/** `cofferdam leak`: find out whether an app leaks, how much, and where. */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { LeakSettings } from '../config/settings-leak.ts';
import { EXIT } from '../errors.ts';
import { renderArms } from '../leak/arms-text.ts';
import { runArms } from '../leak/arms.ts';
import { runExperiment } from '../leak/experiment.ts';
import type { Outcome } from '../leak/experiment.ts';
import { readSnapshots } from '../leak/heap-compare.ts';
import { PROFILE_INTERVAL_BYTES } from '../leak/phases.ts';
import { buildReport } from '../leak/report.ts';
import type { Report } from '../leak/report.ts';
import { renderHtml } from '../leak/report-html.ts';
import { renderSuspect, renderText } from '../leak/report-text.ts';
import { readVariables } from '../leak/variables.ts';
import type { Verdict } from '../leak/verdict.ts';
import { formatAmount } from '../leak/words.ts';
import type { CommandContext } from './command.ts';
import { armsOf, loadOptionsOf, parseLeak, targetOf } from './leak-options.ts';
import { startProgress } from './leak-progress.ts';
import { painterFor } from './terminal.ts';

export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const { settings, words } = parseLeak(argv);
  if (settings.diff) return diff(words, settings, context);
  // Before the app is looked for: what is wrong with a flag shall be said first.
  const asked = await loadOptionsOf(settings, context.cwd);
  const target = targetOf(settings, context);
  const arms = armsOf(settings, target);
  const progress = startProgress(context.stderr);
  const { signal, release } = abortOnInterrupt();
  const options = { ...asked, onProgress: progress.tell, signal };
  try {
    if (arms.length > 1) {
      const outcomes = await runArms(arms, options);
      progress.end();
      const json = `${JSON.stringify({ schema: 1, arms: outcomes }, null, 2)}\n`;
      context.stdout.write(settings.json ? json : renderArms(outcomes));
      return exitOf(outcomes[0]?.verdict);
    }
    const outcome = await runExperiment({ ...options, target });
    progress.end();
    await tell(outcome, settings, context, target.app);
    return exitOf(outcome.verdict);
  } finally {
    progress.end();
    release();
  }
}

// --- internal ---

function exitOf(verdict: Verdict | undefined): number {
  if (verdict?.kind === 'leak') return EXIT.failed;
  return verdict?.kind === 'undecided' ? EXIT.undecided : EXIT.ok;
}

async function tell(
  outcome: Outcome,
  settings: LeakSettings,
  context: CommandContext,
  app: string,
): Promise<void> {
  const variables = await readVariables(app, context.env);
  const words = ['cofferdam', 'leak', ...process.argv.slice(3).map(quote)];
  const report = buildReport(outcome, {
    app,
    command: [...variables.map(([name, value]) => `${name}=${quote(value)}`), ...words].join(' '),
    at: new Date(),
    limitBytes: settings.memoryLimitBytes,
    trafficPerSecond: settings.traffic,
  });
  const paint = painterFor(context.stdout, context.env);
  const text = settings.json
    ? `${JSON.stringify(report, null, 2)}\n`
    : renderText(report, paint, context.cwd);
  context.stdout.write(text);
  const written = await writeFiles(report, outcome, settings, context.cwd);
  if (!settings.json) for (const line of written) context.stdout.write(`${line}\n`);
}

async function writeFiles(
  report: Report,
  outcome: Outcome,
  settings: LeakSettings,
  cwd: string,
): Promise<string[]> {
  const written: string[] = [];
  if (!settings.noReport) {
    const path = resolve(cwd, settings.report);
    await writeFile(path, renderHtml(report));
    written.push(`Report: ${path}`);
  }
  const { pprof } = settings;
  const profile = outcome.culprit?.profile ?? null;
  if (pprof !== null && profile !== null) {
    const path = resolve(cwd, pprof);
    const { writePprof } = await import('../leak/pprof.ts');
    await writePprof(path, profile, PROFILE_INTERVAL_BYTES);
    written.push(`Profile: ${path}`);
  }
  return written;
}

function quote(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

async function diff(
  files: readonly string[],
  { requests, json }: LeakSettings,
  context: CommandContext,
): Promise<number> {
  const progress = startProgress(context.stderr);
  const suspects = await readSnapshots(
    files.map((path) => resolve(context.cwd, path)),
    {
      requests: requests === 0 ? null : [requests, requests],
      onProgress: (read, total) =>
        progress.say(`reading ${formatAmount(read, 'bytes')} of ${formatAmount(total, 'bytes')}`),
    },
  );
  progress.end();
  if (json) {
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

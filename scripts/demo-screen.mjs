/** What the demo shows: a heading, one live line, a summary. */

const BAR_CELLS = 14;
const MIB = 2 ** 20;
/** Without a terminal the line would fill a log file. */
const PLAIN_LINE_MS = 5_000;

const isTerminal = process.stdout.isTTY === true;
const hasColor = isTerminal && !process.env.NO_COLOR && process.env.TERM !== 'dumb';

const paint = (code) => (text) => (hasColor ? `\u001b[${code}m${text}\u001b[0m` : text);
export const bold = paint('1');
export const dim = paint('2');
export const red = paint('31');
export const green = paint('32');
export const cyan = paint('36');

const number = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export function printHeading(rows) {
  say(`\n${bold('  Cofferdam')}${dim(' · a leaky app, kept dry')}\n`);
  for (const [name, text] of rows) printRow(name, text);
  say('');
}

export function printRow(name, text) {
  say(`  ${dim(name.padEnd(9))} ${text}`);
}

export function say(text) {
  process.stdout.write(`${text}\n`);
}

/** Runs a step of the setup; it is only worth a line of its own when it takes a while. */
export async function step(name, work) {
  const startedAt = performance.now();
  if (isTerminal) process.stdout.write(dim(`  … ${name}`));
  try {
    await work();
  } finally {
    clearLine();
  }
  const tookMs = performance.now() - startedAt;
  if (tookMs > 500) say(dim(`  ✓ ${name} (${(tookMs / 1000).toFixed(1)} s)`));
}

/** Shows `state` in the one live line; without a terminal as a line of its own now and then. */
export function createStatusLine() {
  let lastPlainMs = 0;
  return {
    show(state) {
      if (isTerminal) {
        const width = (process.stdout.columns || 80) - 1;
        clearLine();
        process.stdout.write(fit(statusParts(state), width));
      } else if (state.elapsedMs - lastPlainMs >= PLAIN_LINE_MS) {
        lastPlainMs = state.elapsedMs;
        say(fit(statusParts(state), Infinity));
      }
    },
    /** Makes room for what comes next. */
    end: () => (isTerminal ? clearLine() : say('')),
  };
}

/** `[2,150]` → `▕█████░░░▏ 2 of 150 MiB`, red when it is more than there is. */
export function bar(bytes, budgetBytes) {
  const share = Math.min(1, bytes / budgetBytes);
  const full = Math.round(share * BAR_CELLS);
  const color = bytes > budgetBytes ? red : cyan;
  const cells = color('█'.repeat(full)) + dim('░'.repeat(BAR_CELLS - full));
  return `${cells} ${number.format(bytes / MIB)} of ${number.format(budgetBytes / MIB)} MiB`;
}

export function count(value) {
  return number.format(value);
}

export function milliseconds(value) {
  return value < 10 ? `${value.toFixed(1)} ms` : `${number.format(value)} ms`;
}

/** `{ max_memory: 3, crash: 0 }` → `max_memory 3`. */
export function reasons(recycles) {
  const entries = Object.entries(recycles).filter(([, times]) => times > 0);
  return entries.map(([reason, times]) => `${reason} ${times}`).join(', ');
}

// --- internal ---

/** The parts with the rank in which they go when the window is narrow. */
function statusParts(state) {
  const seconds = Math.floor(state.elapsedMs / 1000);
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  const failed = `${count(state.failed)} failed`;
  const memory = state.memoryBytes === null ? '' : bar(state.memoryBytes, state.budgetBytes);
  return [
    { rank: 0, text: `  ${dim(clock)}` },
    { rank: 0, text: `${bold(count(state.ok))} served` },
    { rank: 3, text: dim(`${count(state.perSecond)}/s`) },
    { rank: 0, text: state.failed > 0 ? red(failed) : green(failed) },
    { rank: 2, text: `recycled ${reasons(state.recycles) || '0'}` },
    { rank: 1, text: memory },
  ];
}

function fit(parts, width) {
  for (let rank = 4; ; rank -= 1) {
    const line = parts.filter((part) => part.rank < rank && part.text !== '');
    const text = line.map((part) => part.text).join('  ');
    if (rank <= 1 || visibleLength(text) <= width) return text;
  }
}

function visibleLength(text) {
  // eslint-disable-next-line no-control-regex -- the colours are control characters
  return text.replaceAll(/\u001b\[\d+m/g, '').length;
}

function clearLine() {
  if (isTerminal) process.stdout.write('\r\u001b[2K');
}

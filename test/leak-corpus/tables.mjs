/** The tables of docs/leak-corpus.md, made from the results of the corpus. Pure. */

/** In Markdown: the confusion matrix, the shares of the issue, and each app on each Node. */
export function summarize(all) {
  const ran = all.filter(({ right }) => right !== null);
  const nodes = [...new Set(ran.map(({ node }) => node))].sort((a, b) => (a < b ? -1 : 1));
  return `${[
    ...matrix(ran, nodes),
    '',
    ...shares(ran),
    '',
    `| app | ${nodes.join(' | ')} |`,
    `|---|${nodes.map(() => '---|').join('')}`,
    ...[...groupBy(ran, ({ app }) => app).values()].map((runs) => {
      const cells = nodes.map((node) =>
        runs
          .filter((one) => one.node === node)
          .map(cellOf)
          .join('; '),
      );
      return `| ${runs[0].leaks ? '' : '*healthy:* '}${runs[0].what} | ${cells.join(' | ')} |`;
    }),
  ].join('\n')}\n`;
}

/** `Map.groupBy` came with Node 21. */
function groupBy(list, keyOf) {
  const groups = new Map();
  for (const one of list) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return groups;
}

function matrix(ran, nodes) {
  const rows = nodes.flatMap((node) =>
    [true, false].map((leaks) => {
      const of = ran.filter((one) => one.leaks === leaks && one.node === node);
      const counts = ['leak', 'undecided', 'no leak', 'failed'].map(
        (bucket) => of.filter(({ kind }) => bucketOf(kind) === bucket).length,
      );
      return `| ${leaks ? 'leaks' : 'healthy'} | ${node} | ${of.length} | ${counts.join(' | ')} |`;
    }),
  );
  return [
    '| truth | Node | runs | said leak | undecided | said no leak | failed |',
    '|---|---|---|---|---|---|---|',
    ...rows,
  ];
}

function shares(ran) {
  const leaks = ran.filter((one) => one.leaks);
  const found = leaks.filter(({ right }) => right);
  const healthy = ran.filter((one) => !one.leaks);
  const accused = healthy.filter(({ kind }) => kind === 'leak');
  const named = found.filter(({ culprit }) => culprit !== undefined);
  const known = found.filter(({ covered }) => covered !== null);
  const share = (part, whole) =>
    `${part.length} of ${whole.length}${whole.length === 0 ? '' : ` (${Math.round((100 * part.length) / whole.length)} %)`}`;
  const first = named.filter(({ rank }) => rank === 1);
  const high = named.filter(({ rank }) => rank === 1 || rank === 2);
  return [
    `- Leaks found, of the right kind: ${share(found, leaks)}.`,
    `- Healthy apps accused: ${share(accused, healthy)}.`,
    `- Guilty holder or line among the first two: ${share(high, named)}; first: ${first.length}.`,
    `- Interval holds the true slope, where it is known by another way: ${share(
      known.filter(({ covered }) => covered),
      known,
    )}.`,
    `- Time of a run in the median: leaks ${medianSeconds(found)}, healthy apps ${medianSeconds(healthy)}.`,
  ];
}

function medianSeconds(runs) {
  const times = runs.map(({ elapsedMs }) => elapsedMs ?? 0).toSorted((a, b) => a - b);
  return `${Math.round((times[times.length >> 1] ?? 0) / 1000)} s`;
}

function cellOf({ kind, signal, rate, rank, right, culprit, leaks, truth, covered }) {
  const short = (value) => Number(value.toPrecision(3));
  const known = covered == null ? '' : ` (${covered ? '' : 'outside: '}${short(truth)})`;
  const slope =
    kind === 'leak' && rate != null
      ? ` ${short(rate.slope)} [${short(rate.low)}, ${short(rate.high)}]${known}`
      : '';
  const place = leaks && kind === 'leak' && culprit !== undefined ? `, #${rank ?? '-'}` : '';
  const text = `${kind}${kind === 'leak' ? ` ${signal}${slope}${place}` : ''}`;
  return right ? text : `**${text}**`;
}

function bucketOf(kind) {
  if (kind === 'leak' || kind === 'undecided') return kind;
  return kind.startsWith('failed') ? 'failed' : 'no leak';
}

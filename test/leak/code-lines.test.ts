import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findChanges } from '../../src/leak/code-lines.ts';
import { scratchFolder } from '../support/scratch.ts';

async function changesIn(code: string, variable: string): Promise<number[]> {
  const file = join(scratchFolder(), 'app.js');
  writeFileSync(file, code);
  return (await findChanges(file, variable)).map(({ line }) => line);
}

test.each([
  ['sessions.set(id, session);', true],
  ['this.sessions.set(id, session);', true],
  ['sessions?.push(1);', true],
  ['sessions[id] = session;', true],
  ['sessions[id] ??= session;', true],
  ['sessions = { next: sessions };', true],
  ['sessions += text;', true],
  ['await Promise.race([sessions, other]);', true],
  ['const sessions = new Map();', false],
  ['if (sessions === other) return;', false],
  ['if (sessions[id] === other) return;', false],
  ['sessions.get(id);', false],
  ['sessions.delete(id);', false],
  ['mysessions.set(id, 1);', false],
  ['sessionsOf.set(id, 1);', false],
  ['// sessions.set(id, 1);', false],
  ['const find = (sessions) => sessions.size;', false],
])('%s', async (line, changes) => {
  expect(await changesIn(`'use strict';\n${line}\n`, 'sessions')).toEqual(changes ? [2] : []);
});

test('at most three lines; a file that is gone, or a name that is none, tells nothing', async () => {
  expect(await changesIn('list.push(1);\n'.repeat(9), 'list')).toEqual([1, 2, 3]);
  expect(await findChanges('/nowhere/app.js', 'list')).toEqual([]);
  expect(await changesIn('a.push(1);', '<symbol clients>')).toEqual([]);
  expect(await changesIn('a.push(1);', '(')).toEqual([]);
});

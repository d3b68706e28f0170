import { expect, test } from 'vitest';
import { readVariables } from '../../src/leak/variables.ts';
import { folderWith } from '../unit/config-helpers.ts';

const FILES = {
  'app.mjs': `import { limit } from './src/limit';
    import express from 'express';
    const { MODE, STORE: store = 'memory' } = process.env;
    const token = process.env['API_TOKEN'];`,
  'src/limit.ts': `export const limit = Number(process.env.LIMIT); require("./more.cjs");`,
  'src/more.cjs': `module.exports = process.env.DATABASE_URL + process.env.UNSET + process.env.PORT;`,
  'other.js': `process.env.NOT_LOADED;`,
};

test('variables are those that the own files of the app name, without secrets', async () => {
  const folder = folderWith(FILES);
  const env = {
    MODE: 'slow & steady',
    STORE: 'redis',
    API_TOKEN: 'abc',
    LIMIT: '7',
    DATABASE_URL: 'postgres://user:word@db/shop',
    NODE_OPTIONS: '--max-old-space-size=300',
    NOT_LOADED: '1',
    PORT: '80',
    PATH: '/bin',
  };
  expect(await readVariables(`${folder}/app.mjs`, env)).toEqual([
    ['API_TOKEN', '…'],
    ['DATABASE_URL', '…'],
    ['LIMIT', '7'],
    ['MODE', 'slow & steady'],
    ['NODE_OPTIONS', '--max-old-space-size=300'],
    ['STORE', 'redis'],
  ]);
});

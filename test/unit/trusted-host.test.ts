/** By which names the ops listener may be called, on the loopback device and outside of it. */
import { expect, test } from 'vitest';
import { isTrustedHost } from '../../src/supervisor/trusted-host.ts';

const LOOPBACK = ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1'];
const OUTER = ['10.1.2.3', '::ffff:10.1.2.3', 'fd00::1', '2001:db8::127'];

test.each([
  ['localhost:9477', true],
  ['127.0.0.1:9477', true],
  ['[::1]:9477', true],
  ['10.1.2.3', true],
  ['App.Localhost.', true],
  ['', true],
  [undefined, true],
  ['ops.example.com', false],
  ['localhost.evil.example', false],
  ['127.0.0.1.evil.example', false],
  ['a@localhost', false],
])('host %s on the loopback device: %s; elsewhere always', (header, isTrusted) => {
  for (const address of LOOPBACK) expect(isTrustedHost(header, address)).toBe(isTrusted);
  for (const address of OUTER) expect(isTrustedHost(header, address)).toBe(true);
});

import { expect, test } from 'vitest';
import { phpCgiCommand, phpSocketPath } from '../../src/data/gateway/fastcgi/php-cgi.ts';

const options = {
  binary: 'php-cgi',
  layout: { type: 'isolated' },
  socketPath: '/run/x/php.sock',
  ini: { memory_limit: '64M' },
  parentEnv: {
    PATH: '/bin',
    LC_ALL: 'C',
    SECRET: 'x',
    COFFERDAM_GATEWAY: '{}',
    NODE_CHANNEL_FD: '3',
    PHP_FCGI_MAX_REQUESTS: '7',
  },
  extraEnv: { DATABASE_URL: 'sqlite:' },
} as const;

test('an isolated worker: its own socket, never tired, a clean environment', () => {
  expect(phpCgiCommand(options)).toEqual({
    file: 'php-cgi',
    args: ['-b', '/run/x/php.sock', '-d', 'memory_limit=64M'],
    env: {
      PATH: '/bin',
      LC_ALL: 'C',
      DATABASE_URL: 'sqlite:',
      PHP_FCGI_MAX_REQUESTS: '0',
      PHP_FCGI_CHILDREN: '0',
    },
  });
});

test('a zygote has children', () => {
  const { env } = phpCgiCommand({ ...options, layout: { type: 'zygote', children: 5 } });
  expect(env['PHP_FCGI_CHILDREN']).toBe('5');
});

test('a socket path is never longer than the kernel takes', () => {
  expect(phpSocketPath('/run/x', 'php-3')).toBe('/run/x/php-3.sock');
  expect(phpSocketPath(`/${'x'.repeat(110)}`, 'php-3')).toBeNull();
});

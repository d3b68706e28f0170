/** nginx in front, as most Node services are run: keep-alive to the upstream, nothing hidden. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answers, freePort, isAlive, killTree, waitForExit, waitUntil } from './processes.ts';
import { findTool } from './tools.ts';

export interface Nginx {
  readonly url: string;
  /** What nginx says of its upstream: the reason behind each 502. */
  errors(): string;
  stop(): Promise<void>;
}

/**
 * Starts nginx on a free loopback port before `127.0.0.1:<upstreamPort>`. It does not try again
 * (`proxy_next_upstream off`), so every request that the upstream loses is a 502 for the client.
 * `keepAlive`: whether it keeps connections to the upstream.
 */
export async function startNginx(upstreamPort: number, keepAlive = true): Promise<Nginx> {
  const file = findTool('nginx');
  if (file === null) throw new Error('nginx is missing: apt-get install nginx');
  const folder = mkdtempSync(join(tmpdir(), 'cofferdam-nginx-'));
  const port = await freePort();
  writeFileSync(join(folder, 'nginx.conf'), configOf(folder, { port, upstreamPort, keepAlive }));
  const child = spawn(file, ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: 'ignore' });
  const pid = child.pid ?? 0;
  const errors = (): string => readFileSync(join(folder, 'error.log'), 'utf8');
  const stop = async (): Promise<void> => {
    const gone = waitForExit(child);
    await killTree(pid);
    await gone;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await waitUntil('nginx listens', async () => {
      if (!isAlive(pid)) throw new Error(`nginx ended: ${errors()}`);
      return answers(port);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: `http://127.0.0.1:${port}`, errors, stop };
}

// --- internal ---

interface Where {
  readonly port: number;
  readonly upstreamPort: number;
  readonly keepAlive: boolean;
}

function configOf(folder: string, { port, upstreamPort, keepAlive }: Where): string {
  return `
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log warn;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  upstream app {
    server 127.0.0.1:${upstreamPort} max_fails=0;
    ${keepAlive ? 'keepalive 16;' : ''}
  }
  server {
    listen 127.0.0.1:${port};
    keepalive_requests 1000000;
    client_max_body_size 0;
    proxy_request_buffering off;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "${keepAlive ? '' : 'close'}";
      proxy_next_upstream off;
      proxy_read_timeout 20s;
    }
  }
}
`;
}

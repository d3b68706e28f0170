/** lighttpd in front: an HTTP/1.1 proxy with habits of its own. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { answers, freePort, killTree, waitUntil } from './processes.ts';
import { scratchFolder } from './scratch.ts';
import { findTool } from './tools.ts';

/** Starts it before `127.0.0.1:<upstreamPort>`; returns its URL. Ends with the test. */
export async function startLighttpd(upstreamPort: number): Promise<string> {
  const file = findTool('lighttpd');
  if (file === null) throw new Error('lighttpd is missing: apt-get install lighttpd');
  const folder = scratchFolder();
  const port = await freePort();
  mkdirSync(join(folder, 'uploads'));
  writeFileSync(join(folder, 'lighttpd.conf'), configOf(folder, port, upstreamPort));
  const args = ['-D', '-f', join(folder, 'lighttpd.conf')];
  const child = spawn(file, args, { stdio: 'ignore' });
  onTestFinished(() => killTree(child.pid ?? 0));
  await waitUntil('lighttpd listens', () => answers(port));
  return `http://127.0.0.1:${port}`;
}

// --- internal ---

function configOf(folder: string, port: number, upstreamPort: number): string {
  return `
server.modules = ( "mod_proxy" )
server.document-root = "${folder}"
server.upload-dirs = ( "${folder}/uploads" )
server.errorlog = "${folder}/error.log"
server.bind = "127.0.0.1"
server.port = ${port}
proxy.server = ( "" => (( "host" => "127.0.0.1", "port" => ${upstreamPort} )) )
`;
}

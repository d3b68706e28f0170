/** The certificate: read at the start, and when its files change. A bad one changes nothing. */
import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Http2SecureServer } from 'node:http2';
import { createSecureContext } from 'node:tls';
import type { Report } from './report.ts';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/**
 * Looked at this often: certificates change once in weeks. Polling, because a watch loses sight of
 * files that are replaced by swapping a folder's link (Kubernetes, certbot).
 */
export const LOOK_MS = 2000;
/** Certificate and key are two files: when one has changed, the other is about to. */
const SETTLE_MS = 500;

/** Throws where a file cannot be read or both do not belong together. */
export async function readCertificate(files: CertificateFiles): Promise<Certificate> {
  const [cert, key] = await Promise.all([readFile(files.certFile), readFile(files.keyFile)]);
  createSecureContext({ cert, key });
  return { cert, key };
}

/** Returns how to stop looking. */
export function followCertificate(
  files: CertificateFiles,
  server: Pick<Http2SecureServer, 'setSecureContext'>,
  report: Report,
): () => void {
  let timer: NodeJS.Timeout | undefined;
  const renew = async (): Promise<void> => {
    try {
      server.setSecureContext(await readCertificate(files));
      report.say('info', 'certificate_renewed', { file: files.certFile });
    } catch (error) {
      report.say('error', 'certificate_bad', { file: files.certFile, reason: String(error) });
    }
  };
  const changed = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => void renew(), SETTLE_MS);
  };
  const paths = [files.certFile, files.keyFile];
  for (const path of paths) watchFile(path, { interval: LOOK_MS, persistent: false }, changed);
  return () => {
    clearTimeout(timer);
    for (const path of paths) unwatchFile(path, changed);
  };
}

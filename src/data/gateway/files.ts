/**
 * Static files: ETag, ranges and conditional requests by @fastify/send, precompressed siblings
 * (`.br`, `.gz`) by us. Which file a request may have is decided elsewhere; this only sends it.
 */
import { lstat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { cut, refuse, write, type AnyRequest, type AnyResponse } from './refuse.ts';

export interface FileVisit {
  readonly request: AnyRequest;
  readonly response: AnyResponse;
}

/** Ready to be used, so that its 2 MiB and 20 ms are spent before the first request, or never. */
export async function loadFiles(): Promise<void> {
  await import('@fastify/send');
}

/**
 * Answers with the file (an absolute path), keeping the header fields that the response has
 * already; resolves with the status once the head is out. 404 when it cannot be read. The method
 * does not matter, unless it is HEAD: what a script wants to be sent may answer a POST.
 */
export async function sendFile(visit: FileVisit, file: Buffer): Promise<number> {
  const { request, response } = visit;
  const path = file.toString('utf8');
  // The library knows paths as text only: a name that is not UTF-8 cannot be had.
  if (!Buffer.from(path).equals(file)) return refused(visit, 404);
  const { encoding, suffix, varies } = await chooseEncoding(request, path);
  const { send } = await import('@fastify/send');
  const name = encodeURIComponent(basename(path) + suffix);
  const options = { root: dirname(path), dotfiles: 'allow', index: false } as const;
  const result = await send(request, `/${name}`, {
    ...options,
    // Browsers ask again each time; whoever wants more says so in the app or the proxy.
    cacheControl: false,
  });
  const { statusCode, stream } = result;
  if (response.destroyed) {
    stream.destroy();
    return statusCode;
  }
  if (result.type === 'error' && statusCode !== 416) return refused(visit, statusCode);
  const fields: Record<string, string> = { ...result.headers };
  if (varies) fields['Vary'] = 'Accept-Encoding';
  if (encoding !== null && statusCode !== 304) fields['Content-Encoding'] = encoding;
  if (suffix !== '' && statusCode !== 304) {
    fields['Content-Type'] = await typeOf(path);
  }
  pour(visit, statusCode, fields, stream);
  return statusCode;
}

// --- internal ---

/** In the order of preference. */
const ENCODINGS = [
  { encoding: 'br', suffix: '.br' },
  { encoding: 'gzip', suffix: '.gz' },
] as const;

const PLAIN = { encoding: null, suffix: '' } as const;

/** The best sibling that the client understands and that is not older than the file itself. */
async function chooseEncoding(
  request: AnyRequest,
  path: string,
): Promise<{ encoding: string | null; suffix: string; varies: boolean }> {
  const [own, ...siblings] = await Promise.all(
    ['', ...ENCODINGS.map(({ suffix }) => suffix)].map((suffix) => modifiedAt(path + suffix)),
  );
  const accepted = acceptedBy(request.headers['accept-encoding'] ?? '');
  const usable = ENCODINGS.filter((_, index) => (siblings[index] ?? -1) >= (own ?? 0));
  const best = usable.find(({ encoding }) => accepted(encoding)) ?? PLAIN;
  return { ...best, varies: usable.length > 0 };
}

/** Null unless it is a regular file: a link may lead anywhere. */
async function modifiedAt(path: string): Promise<number | null> {
  const stat = await lstat(path).catch(() => null);
  return stat?.isFile() === true ? stat.mtimeMs : null;
}

function acceptedBy(field: string): (encoding: string) => boolean {
  const offers = new Map(
    field.split(',').map((each) => {
      const [name = '', ...parameters] = each.split(';').map((part) => part.trim().toLowerCase());
      const refused = parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
      return [name, !refused] as const;
    }),
  );
  return (encoding) => offers.get(encoding) ?? false;
}

async function typeOf(path: string): Promise<string> {
  const { mime, isUtf8MimeType } = await import('@fastify/send');
  const type = mime.getType(path) ?? 'application/octet-stream';
  return isUtf8MimeType(type) ? `${type}; charset=utf-8` : type;
}

function pour(
  { request, response }: FileVisit,
  status: number,
  fields: Record<string, string>,
  stream: Readable,
): void {
  // What the app said of the file (X-Sendfile) is better than what we guess.
  const own = Object.entries(fields).filter(([name]) => !response.hasHeader(name));
  write(response, status, Object.fromEntries(own));
  if (request.method === 'HEAD' || status === 304) {
    stream.destroy();
    response.end();
    return;
  }
  const length = Number(fields['Content-Length']);
  let sent = 0;
  stream.on('data', (chunk: Buffer | string) => (sent += Buffer.byteLength(chunk)));
  stream.once('end', () => {
    // Somebody cut the file short meanwhile: an end that looks whole would be a lie.
    if (Number.isNaN(length) || sent === length) response.end();
    else cut(response);
  });
  stream.once('error', () => cut(response));
  response.once('close', () => stream.destroy());
  stream.pipe(response as NodeJS.WritableStream, { end: false });
}

function refused({ request, response }: FileVisit, status: number): number {
  refuse(request, response, status);
  return status;
}

/**
 * Reads the head of a request as strictly as a server in front has to: whatever two programs could
 * understand in two ways is refused here, before anybody behind sees it.
 */
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { isMessage } from './refuse.ts';

export type Head =
  /** `target` in origin form (or `*`); `host` one valid value, empty if an old client sent none. */
  | { readonly ok: true; readonly target: string; readonly host: string }
  | { readonly ok: false; readonly status: number; readonly why: string };

/** More fields than any browser or proxy sends; each costs every hop behind us memory. */
export const FIELDS_MAX = 200;

export function readHead(request: IncomingMessage | Http2ServerRequest): Head {
  const { rawHeaders, headers } = request;
  // It shows what proxies add to a request, and nobody needs that; as nginx and Apache.
  if (request.method === 'TRACE') return refusal(405, 'TRACE');
  const isHttp2 = !isMessage(request);
  // Node's parser also takes 0.9 and 2.0 for a version of what it reads.
  if (!isHttp2 && request.httpVersionMajor !== 1) return refusal(505, 'version');
  if (rawHeaders.length / 2 > FIELDS_MAX) return refusal(431, 'too many header fields');
  const complaint = isHttp2 ? null : complaintAboutFraming(request);
  if (complaint !== null) return complaint;

  const url = request.url ?? '';
  if (!TARGET_CHARACTERS.test(url)) return refusal(400, 'characters in the target');
  const absolute = isHttp2 ? null : ABSOLUTE_FORM.exec(url);
  const sent = headers[':authority'] ?? headers.host;
  // RFC 9112, 3.2.2: with a target in absolute form the Host field says nothing.
  const host = absolute?.[1] ?? (typeof sent === 'string' ? sent.trim() : '');
  if (host === '' ? request.httpVersion !== '1.0' || absolute !== null : !HOST.test(host)) {
    return refusal(400, 'host');
  }
  const target = absolute === null ? url : originForm(absolute[2] ?? '', request.method);
  const isOrigin = target.startsWith('/') || (target === '*' && request.method === 'OPTIONS');
  return isOrigin ? { ok: true, target, host } : refusal(400, 'target');
}

// --- internal ---

/** No control characters, no spaces, no fragment: none of them can be part of a target. */
const TARGET_CHARACTERS = /^[\u0021\u0022\u0024-\u007e\u0080-\u00ff]+$/;
const ABSOLUTE_FORM = /^https?:\/\/([^/?]*)(.*)$/i;
/** A name, an IPv4 address or an IPv6 one in brackets, and a port; never a user. */
const HOST = /^(?:[a-z0-9._~!$&'()*+,;=%-]+|\[[0-9a-f:.]+\])(?::\d{0,5})?$/i;

function originForm(rest: string, method: string | undefined): string {
  if (rest === '') return method === 'OPTIONS' ? '*' : '/';
  return rest.startsWith('?') ? `/${rest}` : rest;
}

/**
 * What Node's parser lets pass although it invites smuggling. (It refuses by itself: a length
 * beside `Transfer-Encoding`, two lengths, `chunked` not last, spaces before the colon.)
 */
function complaintAboutFraming(request: IncomingMessage | Http2ServerRequest): Head | null {
  const { rawHeaders } = request;
  let hosts = 0;
  let encodings = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase();
    if (name === 'host') hosts += 1;
    else if (name === 'transfer-encoding') {
      encodings += 1;
      // Any other coding would be lost on the way, for we take the chunks apart.
      if (rawHeaders[index + 1]?.trim().toLowerCase() !== 'chunked') {
        return refusal(501, 'transfer-encoding');
      }
      if (request.httpVersion === '1.0') return refusal(400, 'transfer-encoding in HTTP/1.0');
    }
  }
  if (hosts > 1) return refusal(400, 'two Host fields');
  return encodings > 1 ? refusal(400, 'two Transfer-Encoding fields') : null;
}

function refusal(status: number, why: string): Head {
  return { ok: false, status, why };
}

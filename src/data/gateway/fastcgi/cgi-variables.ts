/**
 * The CGI variables of a request (RFC 3875), as nginx and php-fpm have taught PHP applications to
 * expect them. Values are binary strings.
 */
import type { Script } from '../script-path.ts';
import type { Visit } from '../types.ts';

/** `target` differs from the visit's own after an internal redirect. */
export interface CgiRequest {
  readonly visit: Visit;
  readonly script: Script;
  readonly method: string;
  readonly target: string;
  /** 0 for none. */
  readonly bodyBytes: number;
}

export function cgiVariables(request: CgiRequest): Map<string, string> {
  const { visit, script, method, target, bodyBytes } = request;
  const { visitor } = visit;
  const query = target.indexOf('?');
  const variables = new Map<string, string>([
    ['GATEWAY_INTERFACE', 'CGI/1.1'],
    ['SERVER_SOFTWARE', 'Cofferdam'],
    ['SERVER_PROTOCOL', `HTTP/${visit.request.httpVersion}`],
    ['REQUEST_METHOD', method],
    ['REQUEST_SCHEME', visitor.scheme],
    ['REQUEST_URI', target],
    ['QUERY_STRING', query === -1 ? '' : target.slice(query + 1)],
    ['DOCUMENT_ROOT', script.root],
    ['DOCUMENT_URI', script.name + (script.pathInfo ?? '')],
    ['SCRIPT_NAME', script.name],
    ['SCRIPT_FILENAME', script.file],
    ['REMOTE_ADDR', visitor.remoteAddress],
    ['REMOTE_PORT', String(visitor.remotePort)],
    ['SERVER_ADDR', visitor.localAddress],
    ['SERVER_PORT', String(visitor.localPort)],
    ['SERVER_NAME', hostName(visitor.host) || visitor.localAddress],
    // php-cgi refuses to run without it when it was built for direct CGI use.
    ['REDIRECT_STATUS', '200'],
  ]);
  // An empty PATH_INFO is what CVE-2019-11043 was made of.
  if (script.pathInfo !== null) {
    variables.set('PATH_INFO', script.pathInfo);
    variables.set('PATH_TRANSLATED', script.root + script.pathInfo);
  }
  // "off" would be true to a careless script.
  if (visitor.scheme === 'https') variables.set('HTTPS', 'on');
  if (bodyBytes > 0 || visit.request.headers['content-length'] !== undefined) {
    variables.set('CONTENT_LENGTH', String(bodyBytes));
  }
  addHeaders(variables, visit);
  return variables;
}

// --- internal ---

/**
 * Never an HTTP_ variable. `proxy`: HTTP_PROXY is how programs are told their proxy (httpoxy,
 * CVE-2016-5385). Content-* have variables of their own; the rest belongs to the connection.
 */
const DROPPED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'content-type',
  'host',
  'keep-alive',
  'proxy',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** `X_Real_IP` would become the same variable as `X-Real-IP`; HTTP/2's `:path` is no header. */
const NAME = /^[a-z0-9-]+$/;

function addHeaders(variables: Map<string, string>, visit: Visit): void {
  const { headers } = visit.request;
  const contentType = headers['content-type'];
  if (contentType !== undefined) variables.set('CONTENT_TYPE', contentType);
  // Of an absolute-form target and a Host header that differ, the front has chosen one.
  if (visit.visitor.host !== '') variables.set('HTTP_HOST', visit.visitor.host);
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || DROPPED.has(name) || !NAME.test(name)) continue;
    const text = typeof value === 'string' ? value : value.join(name === 'cookie' ? '; ' : ', ');
    variables.set(`HTTP_${name.toUpperCase().replaceAll('-', '_')}`, text);
  }
}

/** Without the port; the brackets of an IPv6 address stay (RFC 3875, 4.1.14). */
function hostName(host: string): string {
  return host.replace(/:\d*$/, '');
}

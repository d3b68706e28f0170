/** A client of the FastCGI protocol that is just enough to ask php-fpm something. */
import { connect } from 'node:net';

/**
 * `fcgi://host:port/ping`, or `fcgi://host:port/folder/script.php/path` for a script. Resolves with
 * the status when the whole answer is there; rejects when there is none, or by the signal.
 */
export function askFastcgi(url, signal) {
  const { hostname, port, pathname } = new URL(url);
  return new Promise((resolve, reject) => {
    const chunks = [];
    const socket = connect({ host: hostname, port: Number(port), signal });
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.once('error', reject);
    // Without FCGI_KEEP_CONN it is php-fpm that closes, after the last record.
    socket.once('close', () => {
      const status = statusOf(Buffer.concat(chunks));
      if (status === null) reject(new Error('no whole answer'));
      else resolve(status);
    });
    socket.write(requestFor(pathname));
  });
}

// --- internal ---

const BEGIN_REQUEST = 1;
const END_REQUEST = 3;
const PARAMS = 4;
const STDIN = 5;
const STDOUT = 6;
const HEADER_BYTES = 8;
const RESPONDER = Buffer.from([0, 1, 0, 0, 0, 0, 0, 0]);

function requestFor(pathname) {
  const [, script = '', path = ''] = /^(.*\.php)?(.*)$/.exec(pathname) ?? [];
  const params = {
    GATEWAY_INTERFACE: 'CGI/1.1',
    REQUEST_METHOD: 'GET',
    SCRIPT_FILENAME: script === '' ? path : script,
    // php-fpm knows its own paths (ping.path and pm.status_path) by this one.
    SCRIPT_NAME: pathname,
    REQUEST_URI: path,
  };
  return Buffer.concat([
    record(BEGIN_REQUEST, RESPONDER),
    record(PARAMS, Buffer.concat(Object.entries(params).map(pair))),
    record(PARAMS),
    record(STDIN),
  ]);
}

function record(type, content = Buffer.alloc(0)) {
  const header = Buffer.from([1, type, 0, 1, 0, 0, 0, 0]);
  header.writeUInt16BE(content.length, 4);
  return Buffer.concat([header, content]);
}

/** Lengths of 128 and more take four bytes. */
function pair([name, value]) {
  const lengths = [name, value].map((text) => {
    const bytes = Buffer.byteLength(text);
    if (bytes < 128) return Buffer.from([bytes]);
    const long = Buffer.alloc(4);
    long.writeUInt32BE(bytes + 2 ** 31);
    return long;
  });
  return Buffer.concat([...lengths, Buffer.from(name + value)]);
}

/** Null without the record that ends a request: the answer was cut off. */
function statusOf(answer) {
  let output = '';
  for (let at = 0; at + HEADER_BYTES <= answer.length;) {
    const type = answer[at + 1];
    const bytes = answer.readUInt16BE(at + 4);
    const from = at + HEADER_BYTES;
    if (type === STDOUT) output += answer.toString('latin1', from, from + bytes);
    if (type === END_REQUEST) return Number(/^Status: (\d{3})/m.exec(output)?.[1] ?? 200);
    at = from + bytes + answer[at + 6];
  }
  return null;
}

/**
 * The files of the page, read from disk when they are asked for: to keep them would cost the
 * supervisor 100 KiB for something that is looked at now and then.
 */
import { readFile } from 'node:fs';
import type { ServerResponse } from 'node:http';

const FOLDER = new URL('./client/', import.meta.url);

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Also the proof against paths that climb: a plain name with an ending that we serve. */
const NAME = /^[a-zA-Z][\w-]*(?:\.iife\.min|\.min)?\.(html|js|css|svg)$/;

/**
 * Answers with the file of that name, passed through `change` if given; 404 when there is none.
 * Answers later, but never throws.
 */
export function sendAsset(
  response: ServerResponse,
  name: string,
  change: (text: string) => string = (text) => text,
): void {
  const type = TYPES[NAME.exec(name)?.[1] ?? ''];
  if (type === undefined) {
    sendText(response, 404, 'not found\n');
    return;
  }
  readFile(new URL(name, FOLDER), 'utf8', (error, text) => {
    if (error === null) send(response, 200, type, change(text));
    else sendText(response, 404, 'not found\n');
  });
}

export function sendText(response: ServerResponse, status: number, text: string): void {
  send(response, status, 'text/plain; charset=utf-8', text);
}

// --- internal ---

/** HEAD needs no care: Node leaves the body out. */
function send(response: ServerResponse, status: number, type: string, text: string): void {
  const length = Buffer.byteLength(text);
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': length }).end(text);
}

/**
 * Which PHP functions a php-cgi is in, read out of its memory from outside. php-fpm does that for
 * its slow log; php-cgi has no signal that prints it. Nothing is stopped and nothing is written: a
 * stack may be torn while functions come and go, but whoever is stuck stands still.
 *
 * The layout of a frame has been the same since PHP 7.0. What moved from version to version (where
 * the newest frame and a file's name are kept) is found by what it must look like.
 */
import { closeSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Newest first: `sleep()`, `Job::run() /srv/app/job.php:12`, `/srv/app/index.php:3`. Null where
 * there is none, or it may not be read (another user's process, a thread-safe build, no /proc).
 */
export function readPhpStack(pid: number, root = '/'): readonly string[] | null {
  const folder = join(root, 'proc', String(pid));
  let memory: number | null = null;
  try {
    const globals = findGlobals(folder);
    if (globals === null) return null;
    memory = openSync(join(folder, 'mem'), 'r');
    return walk(memory, globals);
  } catch {
    // It ended meanwhile, or the kernel does not let us.
    return null;
  } finally {
    if (memory !== null) closeSync(memory);
  }
}

// --- internal ---

/** php-fpm shows as many. */
const FRAMES_MAX = 20;
/** No name that a person wrote is longer. */
const TEXT_MAX_BYTES = 300;

/** `struct _zend_execute_data`. */
const FRAME = { bytes: 64, opline: 0, function: 24, previous: 48 };
/** `zend_function`: an internal one has no file. */
const FUNCTION = { bytes: 256, name: 8, scope: 16 };
const USER_FUNCTION = 2;
const FUNCTION_TYPES = [1, USER_FUNCTION, 4];
/** `zend_class_entry` begins with its type and its name. */
const CLASS_NAME = 8;
const OPLINE_LINE = 24;
/** `zend_string`: counter, hash, length, bytes. */
const STRING = { length: 16, bytes: 24 };

interface Globals {
  readonly address: number;
  readonly bytes: number;
}

function walk(memory: number, { address, bytes }: Globals): readonly string[] | null {
  const globals = readAt(memory, address, bytes);
  if (globals === null) return null;
  for (let at = 0; at + 8 <= globals.length; at += 8) {
    const stack = framesFrom(memory, pointerAt(globals, at));
    if (stack !== null) return stack;
  }
  return null;
}

/** Null if that is no frame: the oldest of a chain is the script itself, with a file. */
function framesFrom(memory: number, newest: number): readonly string[] | null {
  const lines: string[] = [];
  let frame = newest;
  let isScript = false;
  while (frame !== 0 && lines.length < FRAMES_MAX) {
    const data = readAt(memory, frame, FRAME.bytes);
    if (data === null) return null;
    const code = pointerAt(data, FRAME.function);
    if (code !== 0) {
      const described = describe(memory, code, pointerAt(data, FRAME.opline));
      if (described === null) return null;
      lines.push(described.text);
      isScript = described.hasFile;
    }
    frame = pointerAt(data, FRAME.previous);
  }
  return isScript && lines.length > 0 ? lines : null;
}

function describe(
  memory: number,
  address: number,
  opline: number,
): { readonly text: string; readonly hasFile: boolean } | null {
  const code = readAt(memory, address, FUNCTION.bytes);
  const type = code?.[0] ?? 0;
  if (code === null || !FUNCTION_TYPES.includes(type)) return null;
  const name = textAt(memory, pointerAt(code, FUNCTION.name));
  const scope = readAt(memory, pointerAt(code, FUNCTION.scope), CLASS_NAME + 8);
  const owner = scope === null ? null : textAt(memory, pointerAt(scope, CLASS_NAME));
  const called = name === null ? null : `${owner === null ? '' : `${owner}::`}${name}()`;
  if (type !== USER_FUNCTION) return called === null ? null : { text: called, hasFile: false };
  const file = fileOf(memory, code);
  if (file === null) return null;
  const line = readAt(memory, opline + OPLINE_LINE, 4)?.readUInt32LE() ?? 0;
  return { text: `${called === null ? '' : `${called} `}${file}:${line}`, hasFile: true };
}

/** The first text in a compiled function that is an absolute path. */
function fileOf(memory: number, code: Buffer): string | null {
  for (let at = FUNCTION.scope + 8; at + 8 <= code.length; at += 8) {
    const text = textAt(memory, pointerAt(code, at));
    if (text?.startsWith('/') === true) return text;
  }
  return null;
}

function textAt(memory: number, address: number): string | null {
  const head = readAt(memory, address, STRING.bytes);
  const length = head === null ? 0 : Number(head.readBigUInt64LE(STRING.length));
  if (length === 0 || length > TEXT_MAX_BYTES) return null;
  const text = readAt(memory, address + STRING.bytes, length)?.toString('utf8') ?? '';
  return /[\p{Cc}\ufffd]/u.test(text) ? null : text;
}

function pointerAt(data: Buffer, at: number): number {
  const value = data.readBigUInt64LE(at);
  // User space ends at 2^47; what else is there is no pointer.
  return value < 2n ** 47n ? Number(value) : 0;
}

/** Null where nothing is mapped: most of what looks like a pointer is none. */
function readAt(file: number, address: number, bytes: number): Buffer | null {
  if (address < LOWEST_ADDRESS) return null;
  const data = Buffer.alloc(bytes);
  try {
    return readSync(file, data, 0, bytes, address) === bytes ? data : null;
  } catch {
    return null;
  }
}

/** The kernel maps nothing below (vm.mmap_min_addr). */
const LOWEST_ADDRESS = 65_536;

/** Where `executor_globals` is: a symbol that extensions need, so it is never stripped. */
function findGlobals(folder: string): Globals | null {
  const program = openSync(join(folder, 'exe'), 'r');
  try {
    const symbol = findSymbol(program, 'executor_globals');
    if (symbol === null || symbol.bytes > GLOBALS_MAX_BYTES) return null;
    if (!symbol.isRelative) return symbol;
    // The shared memory of opcache may lie below the program.
    const name = readlinkSync(join(folder, 'exe'));
    const maps = readFileSync(join(folder, 'maps'), 'utf8').split('\n');
    const first = maps.find((line) => line.endsWith(` ${name}`) && / 0{8} /.test(line));
    const base = /^[0-9a-f]+/.exec(first ?? '')?.[0];
    if (base === undefined) return null;
    return { address: symbol.address + Number.parseInt(base, 16), bytes: symbol.bytes };
  } finally {
    closeSync(program);
  }
}

const GLOBALS_MAX_BYTES = 64 * 1024;
const DYNSYM = 11;
const SYMBOL_BYTES = 24;
const ELF64_HEADER_BYTES = 64;

/** In the dynamic symbols of an ELF file of 64 bits, little endian. */
function findSymbol(file: number, wanted: string): (Globals & { isRelative: boolean }) | null {
  const header = readFrom(file, 0, ELF64_HEADER_BYTES);
  if (header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2 || header[5] !== 1) return null;
  const sectionBytes = header.readUInt16LE(0x3a);
  const sections = Array.from({ length: header.readUInt16LE(0x3c) }, (_, index) => {
    const at = Number(header.readBigUInt64LE(0x28)) + index * sectionBytes;
    const section = readFrom(file, at, sectionBytes);
    const number = (offset: number): number => Number(section.readBigUInt64LE(offset));
    const link = section.readUInt32LE(0x28);
    return { type: section.readUInt32LE(4), link, offset: number(0x18), bytes: number(0x20) };
  });
  const table = sections.find(({ type }) => type === DYNSYM);
  const names = table === undefined ? undefined : sections[table.link];
  if (table === undefined || names === undefined) return null;
  const symbols = readFrom(file, table.offset, table.bytes);
  const text = readFrom(file, names.offset, names.bytes);
  const name = text.indexOf(`\0${wanted}\0`) + 1;
  if (name === 0) return null;
  for (let at = 0; at + SYMBOL_BYTES <= symbols.length; at += SYMBOL_BYTES) {
    if (symbols.readUInt32LE(at) !== name) continue;
    const address = Number(symbols.readBigUInt64LE(at + 8));
    const bytes = Number(symbols.readBigUInt64LE(at + 16));
    return { address, bytes, isRelative: header.readUInt16LE(0x10) === 3 };
  }
  return null;
}

function readFrom(file: number, at: number, bytes: number): Buffer {
  const data = Buffer.alloc(bytes);
  readSync(file, data, 0, bytes, at);
  return data;
}

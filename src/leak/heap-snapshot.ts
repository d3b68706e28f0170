/**
 * Reads V8 heap snapshots of any size without building their JSON: bytes are scanned in chunks, and
 * numbers go straight into typed arrays that the header sizes. Strings stay in the file; only where
 * each begins is kept, and the few hundred that a report prints are fetched when asked for.
 *
 * The header's own field lists say what a node and an edge are made of: Node 20, 22 and 24 differ.
 */
import { access, constants, stat } from 'node:fs/promises';
import { CofferdamError } from '../errors.ts';
import { openScanner } from './snapshot-scanner.ts';
import { openTexts } from './snapshot-texts.ts';
import type { Scanner } from './snapshot-scanner.ts';

/**
 * Columns of the heap graph; `n` nodes, `e` edges. Memory: 17 bytes a node, 9 an edge, 8 a string.
 */
export interface HeapGraph {
  readonly nodeCount: number;
  readonly edgeCount: number;
  readonly nodeTypes: readonly string[];
  readonly edgeTypes: readonly string[];
  readonly nodeType: Uint8Array;
  readonly nodeName: Uint32Array;
  readonly nodeId: Uint32Array;
  readonly nodeSize: Uint32Array;
  /** Edges of node i are `firstEdge[i] .. firstEdge[i + 1]`. */
  readonly firstEdge: Uint32Array;
  readonly edgeType: Uint8Array;
  /** A string index, or an element number for the types `element` and `hidden`. */
  readonly edgeName: Uint32Array;
  /** Index of the node that the edge points to. */
  readonly edgeTo: Uint32Array;
  /** Where functions and classes are written; lines and columns count from 1. */
  readonly locations: ReadonlyMap<number, SourceLocation>;
  /** Text by string index, cut at 200 characters. */
  text(index: number): string;
  /** About how long that text is, without reading it. */
  textLength(index: number): number;
  close(): void;
}

export interface SourceLocation {
  readonly scriptId: number;
  readonly line: number;
  readonly column: number;
}

export interface ReadOptions {
  /** Called about once per 64 MiB. */
  readonly onProgress?: (readBytes: number, totalBytes: number) => void;
}

/** The first node of a snapshot is the synthetic root of all roots. */
export const ROOT_NODE = 0;

/** @throws CofferdamError COF_BAD_SNAPSHOT when it is no snapshot, or ends too early. */
export async function readHeapSnapshot(
  path: string,
  options: ReadOptions = {},
): Promise<HeapGraph> {
  const size = await sizeOf(path);
  const scanner = openScanner(path, size, options.onProgress);
  try {
    const header = readHeader(scanner);
    const nodes = readNodes(scanner, header);
    const edges = readEdges(scanner, header);
    const locations = readLocations(scanner, header);
    const offsets = scanner.readStringOffsets('strings');
    const text = openTexts(path, offsets, size);
    return { ...header.counts, ...header.types, ...nodes, ...edges, locations, ...text };
  } finally {
    scanner.close();
  }
}

/** What an earlier snapshot tells of a later one of the same process. */
export interface HeapMarks {
  /**
   * The highest id that V8 had given to an object of its own when the snapshot was taken. Native
   * nodes have even ids, new ones in each snapshot: they say nothing.
   */
  readonly highestId: number;
  /** What some of the objects were, by id: see {@link markOf}. */
  readonly sample: ReadonlyMap<number, number>;
}

/** Reads the nodes and nothing after them. */
export async function readHeapMarks(path: string, options: ReadOptions = {}): Promise<HeapMarks> {
  const scanner = openScanner(path, await sizeOf(path), options.onProgress);
  try {
    const header = readHeader(scanner);
    const width = header.nodeFields.length;
    const idField = fieldOf(header.nodeFields, 'id', path);
    const typeField = fieldOf(header.nodeFields, 'type', path);
    const sizeField = fieldOf(header.nodeFields, 'self_size', path);
    const sample = new Map<number, number>();
    const row = Array.from({ length: width }, () => 0);
    let field = 0;
    let highestId = 0;
    scanner.readNumbers('nodes', header.counts.nodeCount * width, (value) => {
      row[field] = value;
      field = field + 1 === width ? 0 : field + 1;
      if (field !== 0) return;
      const id = row[idField] as number;
      if (id % 2 === 0) return;
      if (id > highestId) highestId = id;
      if (id % SAMPLED_EACH === 1 && sample.size < SAMPLE_LIMIT) {
        sample.set(id, markOf(row[typeField] as number, row[sizeField] as number));
      }
    });
    return { highestId, sample };
  } finally {
    scanner.close();
  }
}

/** What an object is: it keeps kind and size for as long as it lives, but for a few. */
export function markOf(type: number, sizeBytes: number): number {
  return sizeBytes * 256 + type;
}

// --- internal ---

/** Some thousand objects tell for sure, and cost nothing beside the file. */
const SAMPLED_EACH = 32;
const SAMPLE_LIMIT = 50_000;

interface Header {
  readonly path: string;
  readonly counts: { readonly nodeCount: number; readonly edgeCount: number };
  readonly types: { readonly nodeTypes: readonly string[]; readonly edgeTypes: readonly string[] };
  readonly nodeFields: readonly string[];
  readonly edgeFields: readonly string[];
  readonly locationFields: readonly string[];
}

async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path);
    if (found.isFile()) {
      await access(path, constants.R_OK);
      return found.size;
    }
  } catch (cause) {
    throw new CofferdamError('COF_BAD_SNAPSHOT', `cannot read ${path}`, { cause });
  }
  throw new CofferdamError('COF_BAD_SNAPSHOT', `${path} is no regular file`);
}

interface RawHeader {
  meta?: {
    node_fields?: string[];
    node_types?: (string | string[])[];
    edge_fields?: string[];
    edge_types?: (string | string[])[];
    location_fields?: string[];
  };
  node_count?: number;
  edge_count?: number;
}

function readHeader(scanner: Scanner): Header {
  const raw = scanner.readObject('snapshot') as RawHeader;
  const { meta } = raw;
  const nodeTypes = meta?.node_types?.[0];
  const edgeTypes = meta?.edge_types?.[0];
  if (
    meta?.node_fields === undefined ||
    meta.edge_fields === undefined ||
    !Array.isArray(nodeTypes) ||
    !Array.isArray(edgeTypes) ||
    raw.node_count === undefined ||
    raw.edge_count === undefined
  ) {
    throw new CofferdamError('COF_BAD_SNAPSHOT', `${scanner.path} has no heap snapshot header`);
  }
  // Every number takes two bytes at least: a header cannot promise more than the file could hold.
  const least =
    2 * (raw.node_count * meta.node_fields.length + raw.edge_count * meta.edge_fields.length);
  if (!(raw.node_count >= 1) || !(least <= scanner.size)) {
    throw new CofferdamError(
      'COF_BAD_SNAPSHOT',
      `${scanner.path} is shorter than its header says: truncated`,
    );
  }
  return {
    path: scanner.path,
    counts: { nodeCount: raw.node_count, edgeCount: raw.edge_count },
    types: { nodeTypes, edgeTypes },
    nodeFields: meta.node_fields,
    edgeFields: meta.edge_fields,
    locationFields: meta.location_fields ?? [],
  };
}

function fieldOf(fields: readonly string[], name: string, path: string): number {
  const at = fields.indexOf(name);
  if (at < 0) throw new CofferdamError('COF_BAD_SNAPSHOT', `${path} has no field "${name}"`);
  return at;
}

/** Array buffers above 4 GiB exist; a saturated size still ranks first. */
const SIZE_MAX = 2 ** 32 - 1;

function readNodes(scanner: Scanner, header: Header) {
  const { nodeCount } = header.counts;
  const width = header.nodeFields.length;
  const typeField = fieldOf(header.nodeFields, 'type', header.path);
  const nameField = fieldOf(header.nodeFields, 'name', header.path);
  const idField = fieldOf(header.nodeFields, 'id', header.path);
  const sizeField = fieldOf(header.nodeFields, 'self_size', header.path);
  const edgesField = fieldOf(header.nodeFields, 'edge_count', header.path);
  const nodeType = new Uint8Array(nodeCount);
  const nodeName = new Uint32Array(nodeCount);
  const nodeId = new Uint32Array(nodeCount);
  const nodeSize = new Uint32Array(nodeCount);
  const firstEdge = new Uint32Array(nodeCount + 1);
  let node = 0;
  let field = 0;
  let edges = 0;
  scanner.readNumbers('nodes', nodeCount * width, (value) => {
    if (field === typeField) nodeType[node] = value;
    else if (field === nameField) nodeName[node] = value;
    else if (field === idField) nodeId[node] = value;
    else if (field === sizeField) nodeSize[node] = Math.min(value, SIZE_MAX);
    else if (field === edgesField) edges += value;
    field += 1;
    if (field < width) return;
    field = 0;
    node += 1;
    firstEdge[node] = edges;
  });
  if (edges !== header.counts.edgeCount) {
    throw new CofferdamError('COF_BAD_SNAPSHOT', `${header.path}: nodes and edges do not agree`);
  }
  return { nodeType, nodeName, nodeId, nodeSize, firstEdge };
}

function readEdges(scanner: Scanner, header: Header) {
  const { edgeCount, nodeCount } = header.counts;
  const width = header.edgeFields.length;
  const nodeWidth = header.nodeFields.length;
  const typeField = fieldOf(header.edgeFields, 'type', header.path);
  const nameField = fieldOf(header.edgeFields, 'name_or_index', header.path);
  const toField = fieldOf(header.edgeFields, 'to_node', header.path);
  const edgeType = new Uint8Array(edgeCount);
  const edgeName = new Uint32Array(edgeCount);
  const edgeTo = new Uint32Array(edgeCount);
  let edge = 0;
  let field = 0;
  scanner.readNumbers('edges', edgeCount * width, (value) => {
    if (field === typeField) edgeType[edge] = value;
    else if (field === nameField) edgeName[edge] = value;
    else if (field === toField) {
      if (value / nodeWidth >= nodeCount) {
        throw new CofferdamError('COF_BAD_SNAPSHOT', `${header.path}: an edge points outside`);
      }
      edgeTo[edge] = value / nodeWidth;
    }
    field += 1;
    if (field < width) return;
    field = 0;
    edge += 1;
  });
  return { edgeType, edgeName, edgeTo };
}

function readLocations(scanner: Scanner, header: Header): Map<number, SourceLocation> {
  const locations = new Map<number, SourceLocation>();
  const fields = header.locationFields;
  if (fields.length === 0) return locations;
  const width = fields.length;
  const row = Array.from({ length: width }, () => 0);
  const node = fieldOf(fields, 'object_index', header.path);
  const script = fieldOf(fields, 'script_id', header.path);
  const line = fieldOf(fields, 'line', header.path);
  const column = fieldOf(fields, 'column', header.path);
  let field = 0;
  scanner.readNumbers('locations', null, (value) => {
    row[field] = value;
    field += 1;
    if (field < width) return;
    field = 0;
    locations.set((row[node] ?? 0) / header.nodeFields.length, {
      scriptId: row[script] ?? 0,
      line: (row[line] ?? 0) + 1,
      column: (row[column] ?? 0) + 1,
    });
  });
  return locations;
}

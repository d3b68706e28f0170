/** Names nodes of a heap graph as their programmer would: variables, fields, functions, files. */
import { isAppScript, isInternalScript, plainPath } from './app-frames.ts';
import { SCOPE, SCRIPT, SHARED, childBy, edgeText } from './heap-edges.ts';
import { ROOT_NODE } from './heap-snapshot.ts';
import type { HeapGraph } from './heap-snapshot.ts';
import { NO_EDGE } from './heap-walk.ts';
import type { HeapWalk } from './heap-walk.ts';

/** A function or class in a source file; lines and columns count from 1. */
export interface Place {
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One step of a path, from a root towards the holder. */
export interface Step {
  readonly node: number;
  readonly edgeType: string;
  /** Name of the variable, field or internal slot; `[12]` for an element. */
  readonly edge: string;
  readonly className: string;
}

/** Paths of linked lists have a step per item; more than this is told by its ends. */
const STEPS_LIMIT = 4000;

export function stepsTo(graph: HeapGraph, walk: HeapWalk, node: number): Step[] {
  const steps: Step[] = [];
  let at = node;
  while (at !== ROOT_NODE && steps.length < STEPS_LIMIT) {
    const edge = walk.parentEdge[at] ?? NO_EDGE;
    if (edge === NO_EDGE) break;
    const className = classOf(graph, at);
    const name = walk.exported.get(at);
    const edgeType = graph.edgeTypes[graph.edgeType[edge] ?? 0] ?? '';
    const step = { node: at, edgeType, edge: edgeText(graph, edge), className };
    steps.push(name === undefined ? step : { ...step, edgeType: 'context', edge: name });
    at = walk.parentNode[at] ?? ROOT_NODE;
  }
  return steps.toReversed();
}

/** What it is: `Map`, `Session`, `function later`, `(string)`. */
export function classOf(graph: HeapGraph, node: number): string {
  const type = graph.nodeTypes[graph.nodeType[node] ?? 0] ?? '';
  if (type === 'object' || type === 'native' || type === 'synthetic') {
    return graph.text(graph.nodeName[node] ?? 0) || '(object)';
  }
  if (type === 'closure')
    return `function ${graph.text(graph.nodeName[node] ?? 0) || '(anonymous)'}`;
  return `(${type})`;
}

/** Where a function, or the class of an object, is written; null for Node's and V8's own. */
export function placeOf(graph: HeapGraph, node: number): Place | null {
  const location = graph.locations.get(node);
  if (location === undefined) return null;
  const file = scriptOf(graph, node);
  if (file === null || file === '' || isInternalScript(file)) return null;
  const name = graph.text(graph.nodeName[node] ?? 0);
  return { name: name || '(anonymous)', file, line: location.line, column: location.column };
}

/** Whether the step goes by a variable or field that somebody named. */
export function isNamed(step: Step): boolean {
  if (step.edgeType !== 'context' && step.edgeType !== 'property') return false;
  return !SAID_BY_ALL.has(step.edge) && step.edge !== '';
}

/**
 * A short path for print: only what a programmer wrote, repeats folded:
 * `process › mainModule › exports › handler › sessions`.
 */
export function printPath(steps: readonly Step[]): string[] {
  const words: string[] = [];
  let repeated = 1;
  for (const step of steps) {
    const word = wordOf(step);
    if (word === null) continue;
    // A variable whose value is the function of that name.
    if (word === `${words.at(-1)}()`) words.pop();
    if (word === words.at(-1)?.replace(/ ×\d+$/, '')) {
      repeated += 1;
      words[words.length - 1] = `${word} ×${repeated}`;
      continue;
    }
    repeated = 1;
    words.push(word);
  }
  if (words.length <= PRINTED_STEPS) return words;
  const tail = words.slice(words.length - PRINTED_STEPS + 2);
  return [...words.slice(0, 1), '…', ...tail];
}

/** The last variable or field on a path; null when there is none (only the engine holds it). */
export function variableOf(steps: readonly Step[]): Step | null {
  return steps.findLast((step) => isNamed(step)) ?? null;
}

/**
 * The innermost function on the path that is written in a file of the app; when none is on it (a
 * waiting async function holds its variables itself), one that sees the last variable.
 */
export function scopeOf(graph: HeapGraph, walk: HeapWalk, steps: readonly Step[]): Place | null {
  let fallback: Place | null = null;
  for (const step of steps.toReversed()) {
    if (!step.className.startsWith('function ')) continue;
    const place = placeOf(graph, step.node);
    if (place === null) continue;
    if (isAppScript(place.file)) return place;
    fallback ??= place;
  }
  const variable = variableOf(steps);
  const isScoped = fallback === null && variable?.edgeType === 'context';
  return isScoped ? closureIn(graph, walk.parentNode[variable.node] ?? ROOT_NODE) : fallback;
}

// --- internal ---

/** Any function of the app that was made in this scope. */
function closureIn(graph: HeapGraph, scope: number): Place | null {
  const closure = graph.nodeTypes.indexOf('closure');
  for (let node = 0; node < graph.nodeCount; node++) {
    if (graph.nodeType[node] !== closure || childBy(graph, node, SCOPE) !== scope) continue;
    const place = placeOf(graph, node);
    if (place !== null) return place;
  }
  return null;
}

const PRINTED_STEPS = 9;

/** Every object has them: they say nothing about where it is. */
const SAID_BY_ALL = new Set(['__proto__', 'constructor', 'prototype', '_idleNext', '_idlePrev']);

/** A class that says what an object is, where no name says it. */
const TELLING_CLASS = /^(?!Object$|Array$|Function$)[A-Za-z_$][\w$]*$/;

/** What all of a process hangs from. */
const NATIVE_FRAME = /^Node \/ (Environment|BaseObjectList|\w*Realm)$/;

function wordOf(step: Step): string | null {
  // Every emitter has one: `bus › change` says it.
  if (step.edge === '_events') return null;
  // From the cell of an exported variable, which has just been named, to its value.
  if (step.edgeType === 'internal' && step.edge === 'value') return null;
  const isSymbol = step.edge.startsWith('<symbol ');
  if (isNamed(step) && !isSymbol) return step.edge;
  if (step.className.startsWith('function ')) return `${step.className.slice(9)}()`;
  if (step.edgeType === 'shortcut' || TELLING_CLASS.test(step.className)) return step.className;
  if (isNamed(step)) return step.edge;
  if (NATIVE_FRAME.test(step.className)) return null;
  if (step.className.startsWith('Node / ')) return step.className.slice(7);
  if (step.edge.includes(' pair in WeakMap')) return '(WeakMap value)';
  return null;
}

function scriptOf(graph: HeapGraph, node: number): string | null {
  const isClosure = graph.nodeTypes[graph.nodeType[node] ?? 0] === 'closure';
  // An object's location is its constructor's: map → constructor → shared.
  const closure = isClosure ? node : constructorOf(graph, node);
  const shared = closure < 0 ? -1 : childBy(graph, closure, SHARED);
  const script = shared < 0 ? -1 : childBy(graph, shared, SCRIPT);
  if (script < 0) return null;
  const name = graph.text(graph.nodeName[script] ?? 0);
  return plainPath(name);
}

function constructorOf(graph: HeapGraph, node: number): number {
  const map = childBy(graph, node, ['map']);
  return map < 0 ? -1 : childBy(graph, map, ['constructor']);
}

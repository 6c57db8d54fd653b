import { codeLengths, codes, endOfString } from './huffman-code.ts';

// Four bits a step. A state is an inner node of the code's tree, and there are 256: one fewer than leaves.
const states = 256;
/** By state and the next four bits: the next state, the octet that was completed above it, and `emits` where one was. */
const steps = new Int32Array(states * 16);
const emits = 1 << 16;
/** The bits lead to EOS, which no string may contain (RFC 7541 5.2). */
const toEnd = -1;
/** 1 for the states in which a string may end: fewer than 8 bits of padding, all ones (RFC 7541 5.2). */
const mayEnd = new Uint8Array(states);

build();

/**
 * Decodes `source[start..end)` into `into` and gives the count of octets, or -1 where it is malformed. Octets that
 * `into` has no room for are counted and dropped: the caller must look at the count.
 */
export function decodeHuffman(source: Uint8Array, start: number, end: number, into: Uint8Array): number {
  let state = 0;
  let count = 0;
  for (let at = start; at < end; at += 1) {
    const byte = source[at] as number;
    const high = steps[(state << 4) | (byte >>> 4)] as number;
    // A write past the end of a typed array does nothing. Each octet is written, and counted only if it is one.
    into[count] = high >>> 8;
    count += (high >>> 16) & 1;
    const low = steps[((high & 0xff) << 4) | (byte & 0xf)] as number;
    into[count] = low >>> 8;
    count += (low >>> 16) & 1;
    if ((high | low) < 0) return -1;
    state = low & 0xff;
  }
  return mayEnd[state] === 1 ? count : -1;
}

/** A node of the tree: its children by bit, each an inner node's number or `~symbol`. */
type Node = [zero: number, one: number];

function build(): void {
  const nodes = tree();
  for (let state = 0; state < nodes.length; state += 1) {
    for (let bits = 0; bits < 16; bits += 1) steps[(state << 4) | bits] = step(nodes, state, bits);
  }
  let state = 0;
  for (let padding = 0; padding < 8; padding += 1) {
    mayEnd[state] = 1;
    state = (nodes[state] as Node)[1];
  }
}

function tree(): Node[] {
  // 0 is the root, which is nobody's child: there it stands for "none yet".
  const nodes: Node[] = [[0, 0]];
  for (let symbol = 0; symbol <= endOfString; symbol += 1) {
    const code = codes[symbol] as number;
    let node = 0;
    for (let shift = (codeLengths[symbol] as number) - 1; shift > 0; shift -= 1) {
      node = child(nodes, node, (code >>> shift) & 1);
    }
    (nodes[node] as Node)[code & 1] = ~symbol;
  }
  return nodes;
}

function child(nodes: Node[], parent: number, bit: number): number {
  const known = (nodes[parent] as Node)[bit] as number;
  if (known !== 0) return known;
  (nodes[parent] as Node)[bit] = nodes.length;
  return nodes.push([0, 0]) - 1;
}

/** No code is shorter than five bits, so that four complete one octet at most. */
function step(nodes: Node[], state: number, bits: number): number {
  let node = state;
  let done = 0;
  for (let shift = 3; shift >= 0; shift -= 1) {
    const next = (nodes[node] as Node)[(bits >>> shift) & 1] as number;
    if (next === ~endOfString) return toEnd;
    if (next < 0) done = emits | (~next << 8);
    node = Math.max(next, 0);
  }
  return done | node;
}

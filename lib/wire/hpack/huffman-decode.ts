import { codeLengths, codes, endOfString } from './huffman-code.ts';

// A state is an inner node of the code's tree, and there are 256: one fewer than leaves.
const states = 256;
/**
 * By state and the next eight bits: the next state, above it the one or two octets that were completed, and above them
 * their count. No code is shorter than five bits, so that there are no three.
 */
const steps = new Int32Array(states * 256);
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
    const step = steps[(state << 8) | (source[at] as number)] as number;
    if (step < 0) return -1;
    // Two are written always, and as many counted as there are. A write past the end of a typed array does nothing.
    into[count] = step >>> 8;
    into[count + 1] = step >>> 16;
    count += step >>> 24;
    state = step & 0xff;
  }
  return mayEnd[state] === 1 ? count : -1;
}

/** A node of the tree: its children by bit, each an inner node's number or `~symbol`. */
type Node = [zero: number, one: number];

function build(): void {
  const nodes = tree();
  // By four bits first: two of these make one of eight, which is a thousand times less to walk.
  const halves = Int32Array.from({ length: states * 16 }, (_, at) => halfStep(nodes, at >>> 4, at & 0xf));
  for (let state = 0; state < states; state += 1) {
    for (let byte = 0; byte < 256; byte += 1) {
      const high = halves[(state << 4) | (byte >>> 4)] as number;
      const low = high < 0 ? toEnd : (halves[((high & 0xff) << 4) | (byte & 0xf)] as number);
      steps[(state << 8) | byte] = join(high, low);
    }
  }
  let state = 0;
  for (let padding = 0; padding < 8; padding += 1) {
    mayEnd[state] = 1;
    state = (nodes[state] as Node)[1];
  }
}

function join(high: number, low: number): number {
  if (low < 0) return toEnd;
  const [first, second] = high >>> 24 === 1 ? [high, low] : [low, 0];
  const count = (high >>> 24) + (low >>> 24);
  return (count << 24) | (((second >>> 8) & 0xff) << 16) | (((first >>> 8) & 0xff) << 8) | (low & 0xff);
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

/** As in `steps`; four bits complete one octet at most. */
function halfStep(nodes: readonly Node[], state: number, bits: number): number {
  let node = state;
  let done = 0;
  for (let shift = 3; shift >= 0; shift -= 1) {
    const next = (nodes[node] as Node)[(bits >>> shift) & 1] as number;
    if (next === ~endOfString) return toEnd;
    if (next < 0) done = (1 << 24) | (~next << 8);
    node = Math.max(next, 0);
  }
  return done | node;
}

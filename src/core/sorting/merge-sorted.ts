/** Merges sorted iterables of strings into one. */
export function* mergeSorted(
  sources: Iterable<Iterable<string>>,
): Generator<string, void, undefined> {
  const heap: Head[] = [];
  for (const source of sources) {
    const rest = source[Symbol.iterator]();
    const { value, done } = rest.next();
    if (done !== true) heap.push({ line: value, rest });
  }
  heap.sort((a, b) => (a.line < b.line ? -1 : 1));
  for (let top = heap[0]; top !== undefined; top = heap[0]) {
    yield top.line;
    const { value, done } = top.rest.next();
    if (done !== true) top.line = value;
    else {
      const last = heap.pop() as Head;
      if (heap.length === 0) return;
      heap[0] = last;
    }
    sink(heap);
  }
}

/** The next line of a source. */
interface Head {
  line: string;
  readonly rest: Iterator<string, unknown, undefined>;
}

/** Moves the top down until no line below it is before it. */
function sink(heap: Head[]): void {
  const top = heap[0] as Head;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    const right = heap[child + 1];
    if (right !== undefined && right.line < (heap[child] as Head).line) child++;
    if (top.line <= (heap[child] as Head).line) break;
    heap[at] = heap[child] as Head;
    at = child;
  }
  heap[at] = top;
}

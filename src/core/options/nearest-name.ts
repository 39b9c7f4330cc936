/** Shortest prefix, in letters, that may stand for a longer name. */
const SHORTEST_PREFIX = 3;

/** The name that a caller who wrote `given` most likely meant; `undefined` when none is close. */
export function nearestName(given: string, names: readonly string[]): string | undefined {
  const wanted = given.toLowerCase();
  let nearest: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const distance = editDistance(wanted, name.toLowerCase());
    const allowed = Math.max(1, Math.floor(Math.max(given.length, name.length) * 0.4));
    if (distance >= least || distance > allowed) continue;
    least = distance;
    nearest = name;
  }
  return nearest ?? names.find((name) => isPrefix(wanted, name.toLowerCase()));
}

function isPrefix(a: string, b: string): boolean {
  return Math.min(a.length, b.length) >= SHORTEST_PREFIX && (a.startsWith(b) || b.startsWith(a));
}

/**
 * Edit distance: letters to insert, delete, replace or swap with the next one (optimal string
 * alignment).
 */
function editDistance(from: string, to: string): number {
  let before: number[] = [];
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let distance = Math.min(
        (above[column] as number) + 1,
        (current[column - 1] as number) + 1,
        (above[column - 1] as number) + (same ? 0 : 1),
      );
      const isSwap =
        row > 1 &&
        column > 1 &&
        from[row - 1] === to[column - 2] &&
        from[row - 2] === to[column - 1];
      if (isSwap) distance = Math.min(distance, (before[column - 2] as number) + 1);
      current.push(distance);
    }
    before = above;
    above = current;
  }
  return above[to.length] as number;
}

/** Names longer than this are not guessed at: the work grows with the product of the lengths. */
const maxLength = 80

/**
 * The candidate that a mistyped name probably stands for, or undefined if none is near: about one
 * slip in three characters is forgiven. Case and the choice between `-` and `_` cost nothing.
 */
export function didYouMean(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = normalize(name)
  if (wanted.length > maxLength) return undefined
  let best: string | undefined
  let bestDistance = Math.floor(Math.max(wanted.length, 3) / 3) + 1
  for (const candidate of candidates) {
    const offered = normalize(candidate)
    // Each missing character costs one.
    if (Math.abs(offered.length - wanted.length) >= bestDistance) continue
    const distance = editDistance(wanted, offered)
    // Nothing in common is no slip of the fingers.
    if (distance < bestDistance && distance < Math.max(wanted.length, offered.length)) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function normalize(name: string): string {
  return name.toLowerCase().replaceAll('-', '_')
}

/**
 * How many characters must be inserted, removed, replaced or swapped with their neighbour to make
 * one text of the other, none of them twice (Damerau-Levenshtein, optimal string alignment).
 */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = cell(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let cost = Math.min(replaced, cell(last, j) + 1, cell(row, j - 1) + 1)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwap) cost = Math.min(cost, cell(beforeLast, j - 2) + 1)
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return cell(last, b.length)
}

function cell(row: readonly number[], index: number): number {
  return row[index] ?? 0
}

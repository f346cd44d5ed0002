/** Steps before others have their turn: less than a millisecond. */
const stepsAtOnce = 2000

/** Resolves when the event loop has gone round: everybody else had their turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** Looks at each of very many things without holding anybody up. What comes or goes meanwhile may or may not be among them. */
export async function forEachInSlices<T>(
  items: Iterable<T>,
  visit: (item: T) => void,
): Promise<void> {
  let left = stepsAtOnce
  for (const item of items) {
    visit(item)
    left -= 1
    if (left > 0) continue
    left = stepsAtOnce
    await nextTurn()
  }
}

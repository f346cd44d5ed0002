import { levelsMatch, nextLevel, type TopicFilter, type TopicName } from './topic.ts'

/** One topic's value. It hangs where the topic stops sharing levels with others. */
class Leaf<V> {
  readonly topic: TopicName
  value: V
  /** Where the levels below the leaf's place begin; past the end when there are none. */
  tailAt: number

  constructor(topic: TopicName, value: V, tailAt: number) {
    this.topic = topic
    this.value = value
    this.tailAt = tailAt
  }
}

class Branch<V> {
  own: Leaf<V> | undefined = undefined
  readonly children = new Map<string, Branch<V> | Leaf<V>>()
}

type Node<V> = Branch<V> | Leaf<V>

/**
 * A value for each topic name, found again by wildcard filters: retained messages, or anything else that
 * belongs to a topic.
 *
 * A filter may select a million topics, so a search is a {@link RetainedCursor} that goes on in slices
 * while the tree changes in between.
 */
export class RetainedTree<V> {
  readonly #root = new Branch<V>()
  #size = 0
  #removed = 0

  /** Number of topics. */
  get size(): number {
    return this.#size
  }

  /** Whether about as many topics were removed as there are since this was last true: see {@link RetainedCursor.refresh}. */
  hasChurned(): boolean {
    if (this.#removed < Math.max(this.#size, minChurn)) return false
    this.#removed = 0
    return true
  }

  get(topic: TopicName): V | undefined {
    return this.#find(topic, undefined)?.value
  }

  /** Sets the topic's value and returns the one that it replaces. */
  set(topic: TopicName, value: V): V | undefined {
    let branch = this.#root
    let at = 0
    for (;;) {
      const node = childOf(branch, topic, at)
      if (node === undefined) {
        setChild(branch, topic, at, new Leaf(topic, value, nextLevel(topic, at)))
        this.#size += 1
        return undefined
      }
      if (node instanceof Leaf) {
        if (node.topic === topic) {
          const before = node.value
          node.value = value
          return before
        }
        // Two topics share this level: a branch takes the leaf's place and the leaf moves below it.
        const split = new Branch<V>()
        setChild(branch, topic, at, split)
        const below = node.tailAt
        node.tailAt = nextLevel(node.topic, below)
        setChild(split, node.topic, below, node)
        branch = split
      } else {
        branch = node
      }
      at = nextLevel(topic, at)
    }
  }

  /** Removes the topic and returns its value. */
  delete(topic: TopicName): V | undefined {
    const path: Branch<V>[] = []
    const leaf = this.#find(topic, path)
    if (leaf === undefined) return undefined
    this.#size -= 1
    this.#removed += 1
    const starts = [0]
    for (let i = 1; i < path.length; i++) starts.push(nextLevel(topic, starts[i - 1] ?? 0))
    for (let i = path.length - 1; i >= 0; i--) {
      const branch = path[i]
      if (branch === undefined) break
      deleteChild(branch, topic, starts[i] ?? 0)
      if (branch.own !== undefined || branch.children.size > 0) break
    }
    return leaf.value
  }

  /** A search for the topics that a filter selects; nothing is looked at before its first slice. */
  search(filter: TopicFilter): RetainedCursor<V> {
    return new RetainedCursor(this.#root, filter)
  }

  /** All topics that a filter selects, at once. */
  *match(filter: TopicFilter): Generator<readonly [TopicName, V]> {
    const cursor = this.search(filter)
    const found: (readonly [TopicName, V])[] = []
    while (!cursor.done) {
      cursor.slice(256, (topic, value) => found.push([topic, value]))
      yield* found
      found.length = 0
    }
  }

  #find(topic: TopicName, path: Branch<V>[] | undefined): Leaf<V> | undefined {
    let branch = this.#root
    let at = 0
    for (;;) {
      path?.push(branch)
      const node = childOf(branch, topic, at)
      if (node === undefined) return undefined
      at = nextLevel(topic, at)
      if (node instanceof Leaf) return node.topic === topic ? node : undefined
      branch = node
    }
  }
}

/** A place in the tree where a search goes on. */
interface Frame<V> {
  readonly branch: Branch<V>
  /** Children yet to be visited. */
  readonly nodes: Iterator<readonly [string, Node<V>]>
  /** Those that were taken from `nodes` before their time. */
  ahead: (readonly [string, Node<V>])[]
  /** The filter's level for what lies below these children. */
  readonly filterAt: number
  /** Names of the server are passed over (MQTT5 4.7.2-1). */
  readonly atRoot: boolean
}

/**
 * A search that stops and goes on. A topic that stays in the tree while the search lasts is found just
 * once; one that is set or removed meanwhile may or may not be found.
 */
export class RetainedCursor<V> {
  readonly #filter: TopicFilter
  readonly #root: Branch<V>
  readonly #frames: Frame<V>[] = []
  #started = false

  constructor(root: Branch<V>, filter: TopicFilter) {
    this.#root = root
    this.#filter = filter
  }

  /** True when no slice will find anything more. */
  get done(): boolean {
    return this.#started && this.#frames.length === 0
  }

  /**
   * Looks at no more than `steps` nodes of the tree, found or passed over, and so takes a bounded time.
   * Says whether there may be more.
   */
  slice(steps: number, visit: (topic: TopicName, value: V) => void): boolean {
    if (!this.#started) {
      this.#started = true
      this.#enter(this.#root, 0, visit)
    }
    for (let left = steps; left > 0; left--) {
      const frame = this.#frames.at(-1)
      if (frame === undefined) return false
      const next = nextOf(frame)
      if (next === undefined) {
        this.#frames.pop()
        continue
      }
      const [name, node] = next
      if (frame.atRoot && name.startsWith('$')) continue
      this.#visit(node, frame.filterAt, visit)
    }
    return !this.done
  }

  /**
   * To be called now and then while the search stands still. A map's iterator keeps all that was in the map since it was last
   * moved: so each of them is moved by one child.
   */
  refresh(): void {
    for (const frame of this.#frames) {
      frame.ahead = frame.ahead.filter((child) => current(frame.branch, child) !== undefined)
      const next = frame.nodes.next()
      if (next.done !== true) frame.ahead.push(next.value)
    }
  }

  #visit(node: Node<V>, filterAt: number, visit: (topic: TopicName, value: V) => void): void {
    if (node instanceof Branch) this.#enter(node, filterAt, visit)
    else if (levelsMatch(this.#filter, filterAt, node.topic, node.tailAt)) {
      visit(node.topic, node.value)
    }
  }

  /** Visits a branch whose own level agrees with the filter up to `filterAt`. */
  #enter(start: Branch<V>, startAt: number, visit: (topic: TopicName, value: V) => void): void {
    const filter = this.#filter
    let branch = start
    let at = startAt
    // Literal levels have one child at most: no frame for them.
    for (;;) {
      const unit = filter.charCodeAt(at)
      const ends = at > filter.length
      // `a/#` selects `a` as well (MQTT5 4.7.1.2).
      if ((ends || unit === hash) && branch.own !== undefined) {
        visit(branch.own.topic, branch.own.value)
      }
      if (ends) return
      if (unit === plus || unit === hash) {
        this.#frames.push({
          branch,
          nodes: branch.children.entries(),
          ahead: [],
          filterAt: unit === hash ? at : nextLevel(filter, at),
          atRoot: branch === this.#root,
        })
        return
      }
      const next = nextLevel(filter, at)
      const node = branch.children.get(filter.slice(at, next - 1))
      if (node === undefined) return
      if (node instanceof Leaf) {
        this.#visit(node, next, visit)
        return
      }
      branch = node
      at = next
    }
  }
}

function nextOf<V>(frame: Frame<V>): readonly [string, Node<V>] | undefined {
  for (;;) {
    const child = frame.ahead.shift()
    if (child === undefined) {
      const next = frame.nodes.next()
      return next.done === true ? undefined : next.value
    }
    const node = current(frame.branch, child)
    if (node !== undefined) return [child[0], node]
  }
}

/** What stands in a child's place now: itself, or the branch that it went below; undefined when it is gone. */
function current<V>(
  branch: Branch<V>,
  [name, node]: readonly [string, Node<V>],
): Node<V> | undefined {
  const found = branch.children.get(name)
  const isSame = found === node || (found instanceof Branch && node instanceof Leaf)
  return isSame ? found : undefined
}

/** Fewer topics that went are not worth looking for cursors. */
const minChurn = 10_000

const plus = 0x2b
const hash = 0x23

function childOf<V>(branch: Branch<V>, topic: string, at: number): Node<V> | undefined {
  if (at > topic.length) return branch.own
  return branch.children.get(topic.slice(at, nextLevel(topic, at) - 1))
}

function setChild<V>(branch: Branch<V>, topic: string, at: number, node: Node<V>): void {
  if (at <= topic.length) branch.children.set(topic.slice(at, nextLevel(topic, at) - 1), node)
  // Nothing follows the end of a topic, so what hangs there is always a leaf.
  else if (node instanceof Leaf) branch.own = node
}

function deleteChild<V>(branch: Branch<V>, topic: string, at: number): void {
  if (at > topic.length) branch.own = undefined
  else branch.children.delete(topic.slice(at, nextLevel(topic, at) - 1))
}

import {
  levelsMatch,
  nextLevel,
  sharedFilterOf,
  type TopicFilter,
  type TopicName,
} from './topic.ts'

/** What {@link TopicTree.match} calls for each subscription that selects a topic. */
export interface MatchVisitor<V> {
  /** Once per matching filter, so more than once for a key with overlapping subscriptions. */
  subscriber(value: V, key: string): void
  /** Once per matching share group, whatever its size (MQTT5 4.8.2): the visitor picks a member. */
  group(group: SharedGroup<V>): void
}

export interface SharedMember<V> {
  readonly key: string
  readonly value: V
}

/**
 * The subscriptions of one `$share/group/filter`. The same object stays in the tree while the group has
 * members, so that a broker may keep its own state beside it.
 */
export class SharedGroup<V> {
  readonly name: string
  /** The filter without `$share/group/`. */
  readonly filter: TopicFilter
  readonly #members: SharedMember<V>[] = []
  readonly #places = new Map<string, number>()
  #turn = 0

  constructor(name: string, filter: TopicFilter) {
    this.name = name
    this.filter = filter
  }

  get size(): number {
    return this.#members.length
  }

  /** The member at an index below `size`; changes of the group move members about. */
  at(index: number): SharedMember<V> | undefined {
    return this.#members[index]
  }

  get(key: string): V | undefined {
    const place = this.#places.get(key)
    return place === undefined ? undefined : this.#members[place]?.value
  }

  /** The members in turn, one further at each call; undefined only when the group is empty. */
  next(): SharedMember<V> | undefined {
    this.#turn = this.#turn + 1 < this.#members.length ? this.#turn + 1 : 0
    return this.#members[this.#turn]
  }

  /** For the tree only. Whether the member is new. */
  set(key: string, value: V): boolean {
    const place = this.#places.get(key)
    this.#members[place ?? this.#members.length] = { key, value }
    if (place === undefined) this.#places.set(key, this.#members.length - 1)
    return place === undefined
  }

  /** For the tree only. The last member takes the freed place. */
  delete(key: string): boolean {
    const place = this.#places.get(key)
    if (place === undefined) return false
    this.#places.delete(key)
    const last = this.#members.pop()
    if (last !== undefined && last.key !== key) {
      this.#members[place] = last
      this.#places.set(last.key, place)
    }
    return true
  }
}

/**
 * All subscriptions of one filter. It hangs in the tree where the filter stops sharing levels with
 * others, so most filters cost one leaf and no branches; the levels from `tailAt` on are compared as text.
 */
class Leaf<V> {
  readonly filter: TopicFilter
  /** Where the levels below the leaf's place begin; past the end when there are none. */
  tailAt: number
  /** The only subscriber stands here; a second one moves both into `many`. */
  key: string | undefined = undefined
  value: V | undefined = undefined
  many: Map<string, V> | undefined = undefined
  groups: Map<string, SharedGroup<V>> | undefined = undefined

  constructor(filter: TopicFilter, tailAt: number) {
    this.filter = filter
    this.tailAt = tailAt
  }
}

class Branch<V> {
  /** The filter that ends here. */
  own: Leaf<V> | undefined = undefined
  /** The filter that goes on with `#`, which selects this level too. */
  hash: Leaf<V> | undefined = undefined
  plus: Branch<V> | Leaf<V> | undefined = undefined
  /** The only literal child stands here; a second one moves both into `children`. */
  name: string | undefined = undefined
  child: Branch<V> | Leaf<V> | undefined = undefined
  children: Map<string, Branch<V> | Leaf<V>> | undefined = undefined
}

type Node<V> = Branch<V> | Leaf<V>

/**
 * Subscriptions by topic filter, with values of any kind. A key has one value per filter, and a shared
 * filter is another filter than the one inside it.
 *
 * Matching walks only branches that agree with the topic level by level, so its cost follows the matches
 * and not the subscriptions. Neither matching nor changing recurses: a filter may have 32768 levels.
 */
export class TopicTree<V> {
  #root: Branch<V> = new Branch()
  #size = 0
  #sharedSize = 0
  #generation = 0
  // Work lists of `match`, kept between calls. A visitor may call `match` in turn: each call works above
  // the part that belongs to its callers.
  readonly #nodes: Node<V>[] = []
  readonly #offsets: number[] = []

  /** Number of subscriptions. */
  get size(): number {
    return this.#size
  }

  /** How many of them are shared ones. */
  get sharedSize(): number {
    return this.#sharedSize
  }

  /** Whether there are subscriptions, shared ones included, whose first level is this one. */
  hasLevel(name: string): boolean {
    return this.#root.name === name || this.#root.children?.has(name) === true
  }

  /** Changes whenever what `match` finds may have changed: whoever caches routes compares it. */
  get generation(): number {
    return this.#generation
  }

  /** Adds a subscription or replaces its value; says whether it is new. */
  subscribe(filter: TopicFilter, key: string, value: V): boolean {
    const shared = sharedFilterOf(filter)
    const leaf = this.#place(shared?.filter ?? filter)
    const isNew =
      shared === undefined
        ? setSubscriber(leaf, key, value)
        : setMember(leaf, shared.group, key, value)
    if (isNew) this.#size += 1
    if (isNew && shared !== undefined) this.#sharedSize += 1
    this.#generation += 1
    return isNew
  }

  /** Removes a subscription; says whether there was one. */
  unsubscribe(filter: TopicFilter, key: string): boolean {
    const shared = sharedFilterOf(filter)
    const plain = shared?.filter ?? filter
    const path: Branch<V>[] = []
    const leaf = this.#find(plain, path)
    if (leaf === undefined) return false
    const existed =
      shared === undefined ? deleteSubscriber(leaf, key) : deleteMember(leaf, shared.group, key)
    if (!existed) return false
    this.#size -= 1
    if (shared !== undefined) this.#sharedSize -= 1
    this.#generation += 1
    if (isVacant(leaf)) prune(path, leaf)
    return true
  }

  /** The value of a subscription. */
  get(filter: TopicFilter, key: string): V | undefined {
    const shared = sharedFilterOf(filter)
    const leaf = this.#find(shared?.filter ?? filter, undefined)
    if (leaf === undefined) return undefined
    if (shared === undefined) return leaf.key === key ? leaf.value : leaf.many?.get(key)
    return leaf.groups?.get(shared.group)?.get(key)
  }

  /** The share group of a shared filter, as long as it has members. */
  group(filter: TopicFilter): SharedGroup<V> | undefined {
    const shared = sharedFilterOf(filter)
    if (shared === undefined) return undefined
    return this.#find(shared.filter, undefined)?.groups?.get(shared.group)
  }

  /**
   * Visits every subscription and share group that selects the topic, in no particular order. The visitor
   * must not change the tree.
   */
  match(topic: TopicName, visitor: MatchVisitor<V>): void {
    const nodes = this.#nodes
    const offsets = this.#offsets
    const base = nodes.length
    // Wildcards at the first level do not reach the server's own topics (MQTT5 4.7.2-1).
    const wild = topic.charCodeAt(0) !== dollar
    try {
      nodes.push(this.#root)
      offsets.push(0)
      while (nodes.length > base) {
        const node = nodes.pop()
        const at = offsets.pop()
        if (node === undefined || at === undefined) break
        if (node instanceof Leaf) {
          if (levelsMatch(node.filter, node.tailAt, topic, at)) visitLeaf(node, visitor)
          continue
        }
        if (node.hash !== undefined && (wild || at > 0)) visitLeaf(node.hash, visitor)
        if (at > topic.length) {
          if (node.own !== undefined) visitLeaf(node.own, visitor)
          continue
        }
        this.#descend(node, topic, at, wild || at > 0)
      }
    } finally {
      // A visitor that threw leaves work behind.
      nodes.length = base
      offsets.length = base
    }
  }

  #descend(node: Branch<V>, topic: string, at: number, wild: boolean): void {
    const slashAt = topic.indexOf('/', at)
    const end = slashAt < 0 ? topic.length : slashAt
    if (wild && node.plus !== undefined) {
      this.#nodes.push(node.plus)
      this.#offsets.push(end + 1)
    }
    let child: Node<V> | undefined
    if (node.children !== undefined) {
      child = node.children.get(topic.slice(at, end))
    } else if (node.name !== undefined && isLevel(topic, at, end, node.name)) {
      child = node.child
    }
    if (child !== undefined) {
      this.#nodes.push(child)
      this.#offsets.push(end + 1)
    }
  }

  /** The leaf of a filter, with the branches above it from the root on in `path`. */
  #find(filter: TopicFilter, path: Branch<V>[] | undefined): Leaf<V> | undefined {
    let branch = this.#root
    let at = 0
    for (;;) {
      path?.push(branch)
      const node = childOf(branch, filter, at)
      if (node === undefined) return undefined
      at = nextLevel(filter, at)
      if (node instanceof Leaf) return node.filter === filter ? node : undefined
      branch = node
    }
  }

  /** The leaf of a filter, made if there is none. */
  #place(filter: TopicFilter): Leaf<V> {
    let branch = this.#root
    let at = 0
    for (;;) {
      const node = childOf(branch, filter, at)
      if (node === undefined) {
        const leaf = new Leaf<V>(filter, nextLevel(filter, at))
        setChild(branch, filter, at, leaf)
        return leaf
      }
      if (node instanceof Leaf) {
        if (node.filter === filter) return node
        // Two filters share this level: a branch takes the leaf's place and the leaf moves below it.
        const split = new Branch<V>()
        setChild(branch, filter, at, split)
        const below = node.tailAt
        node.tailAt = nextLevel(node.filter, below)
        setChild(split, node.filter, below, node)
        branch = split
      } else {
        branch = node
      }
      at = nextLevel(filter, at)
    }
  }
}

const dollar = 0x24
const plus = 0x2b
const hash = 0x23

function isLevel(topic: string, at: number, end: number, name: string): boolean {
  return end - at === name.length && topic.startsWith(name, at)
}

/** What hangs under the filter's level at `at`; past its end that is the branch's own leaf. */
function childOf<V>(branch: Branch<V>, filter: string, at: number): Node<V> | undefined {
  if (at > filter.length) return branch.own
  const unit = filter.charCodeAt(at)
  if (unit === plus) return branch.plus
  if (unit === hash) return branch.hash
  const end = nextLevel(filter, at) - 1
  if (branch.children !== undefined) return branch.children.get(filter.slice(at, end))
  return branch.name !== undefined && isLevel(filter, at, end, branch.name)
    ? branch.child
    : undefined
}

function setChild<V>(branch: Branch<V>, filter: string, at: number, node: Node<V>): void {
  const unit = filter.charCodeAt(at)
  // Nothing follows the end of a filter or its `#`, so what hangs there is always a leaf.
  if (at > filter.length) {
    if (node instanceof Leaf) branch.own = node
    return
  }
  if (unit === hash) {
    if (node instanceof Leaf) branch.hash = node
    return
  }
  if (unit === plus) {
    branch.plus = node
    return
  }
  const name = filter.slice(at, nextLevel(filter, at) - 1)
  if (branch.children !== undefined) {
    branch.children.set(name, node)
  } else if (branch.name === undefined || branch.child === undefined || branch.name === name) {
    branch.name = name
    branch.child = node
  } else {
    branch.children = new Map([
      [branch.name, branch.child],
      [name, node],
    ])
    branch.name = undefined
    branch.child = undefined
  }
}

/** Takes a vacant leaf out, and then every branch above it that holds nothing any more. */
function prune<V>(path: Branch<V>[], leaf: Leaf<V>): void {
  const { filter } = leaf
  const starts = [0]
  for (let i = 1; i < path.length; i++) starts.push(nextLevel(filter, starts[i - 1] ?? 0))
  for (let i = path.length - 1; i >= 0; i--) {
    const branch = path[i]
    if (branch === undefined) return
    deleteChild(branch, filter, starts[i] ?? 0)
    if (!isEmpty(branch)) return
  }
}

function deleteChild<V>(branch: Branch<V>, filter: string, at: number): void {
  const unit = filter.charCodeAt(at)
  if (at > filter.length) branch.own = undefined
  else if (unit === plus) branch.plus = undefined
  else if (unit === hash) branch.hash = undefined
  else if (branch.children === undefined) branch.name = branch.child = undefined
  else {
    branch.children.delete(filter.slice(at, nextLevel(filter, at) - 1))
    if (branch.children.size === 0) branch.children = undefined
  }
}

function isEmpty<V>(branch: Branch<V>): boolean {
  return (
    branch.own === undefined &&
    branch.hash === undefined &&
    branch.plus === undefined &&
    branch.name === undefined &&
    branch.children === undefined
  )
}

function isVacant<V>(leaf: Leaf<V>): boolean {
  return leaf.key === undefined && leaf.many === undefined && leaf.groups === undefined
}

function visitLeaf<V>(leaf: Leaf<V>, visitor: MatchVisitor<V>): void {
  if (leaf.key !== undefined) {
    // The value was set with the key, and may itself be undefined.
    visitor.subscriber(leaf.value as V, leaf.key)
  } else if (leaf.many !== undefined) {
    for (const [key, value] of leaf.many) visitor.subscriber(value, key)
  }
  if (leaf.groups !== undefined) {
    for (const group of leaf.groups.values()) visitor.group(group)
  }
}

function setSubscriber<V>(leaf: Leaf<V>, key: string, value: V): boolean {
  if (leaf.many !== undefined) {
    const isNew = !leaf.many.has(key)
    leaf.many.set(key, value)
    return isNew
  }
  if (leaf.key === undefined || leaf.key === key) {
    const isNew = leaf.key === undefined
    leaf.key = key
    leaf.value = value
    return isNew
  }
  // The value was set with the key, and may itself be undefined.
  leaf.many = new Map([
    [leaf.key, leaf.value as V],
    [key, value],
  ])
  leaf.key = undefined
  leaf.value = undefined
  return true
}

function deleteSubscriber<V>(leaf: Leaf<V>, key: string): boolean {
  if (leaf.many !== undefined) {
    const existed = leaf.many.delete(key)
    if (leaf.many.size === 0) leaf.many = undefined
    return existed
  }
  if (leaf.key !== key) return false
  leaf.key = undefined
  leaf.value = undefined
  return true
}

function setMember<V>(leaf: Leaf<V>, name: string, key: string, value: V): boolean {
  leaf.groups ??= new Map()
  let group = leaf.groups.get(name)
  if (group === undefined) {
    group = new SharedGroup(name, leaf.filter)
    leaf.groups.set(name, group)
  }
  return group.set(key, value)
}

function deleteMember<V>(leaf: Leaf<V>, name: string, key: string): boolean {
  const group = leaf.groups?.get(name)
  if (leaf.groups === undefined || group === undefined || !group.delete(key)) return false
  if (group.size === 0) leaf.groups.delete(name)
  if (leaf.groups.size === 0) leaf.groups = undefined
  return true
}

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Files of the server itself, without tests, in a fixed order. */
export function sourceFiles(root: string): readonly string[] {
  return globSync('src/**/*.ts', { cwd: root })
    .filter((file) => !/\.test\.ts$|\/test-[\w-]+\.ts$/.test(file))
    .sort()
}

export interface HookEntry {
  /** The exported constant. */
  readonly constant: string
  /** `xmpp.stanza.sent` */
  readonly name: string
  readonly kind: 'event' | 'filter' | 'decision'
  /** What stands between `<` and `>`: the types a handler gets. */
  readonly types: string
  readonly comment: string
  readonly file: string
}

const kindOf = { Hook: 'event', Filter: 'filter', Decision: 'decision' } as const
const hookPattern =
  /export const (\w+) = define(Hook|Filter|Decision)<([^]*?)>\(\s*'([^']+)'(?:,[^)]*)?\s*\)/g

/** Every hook that the code exports, with its doc comment. */
export function findHooks(root: string): readonly HookEntry[] {
  return sourceFiles(root)
    .filter((file) => file !== 'src/core/hooks.ts')
    .flatMap((file) => hooksIn(file, readFileSync(join(root, file), 'utf8')))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

export function hooksIn(file: string, text: string): readonly HookEntry[] {
  return [...text.matchAll(hookPattern)].map((match) => ({
    constant: match[1] ?? '',
    kind: kindOf[match[2] === 'Filter' ? 'Filter' : match[2] === 'Decision' ? 'Decision' : 'Hook'],
    types: (match[3] ?? '').replaceAll(/\s+/g, ' ').replaceAll(/^ |,? $/g, ''),
    name: match[4] ?? '',
    comment: commentBefore(text, match.index),
    file,
  }))
}

/** The doc comment that ends right before an offset, as one line; empty when there is none. */
export function commentBefore(text: string, offset: number): string {
  const before = text.slice(0, offset).trimEnd()
  if (!before.endsWith('*/')) return ''
  const start = before.lastIndexOf('/**')
  if (start < 0) return ''
  return before
    .slice(start + 3, -2)
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join(' ')
    .trim()
}

export interface ModuleSource {
  readonly file: string
  readonly comment: string
}

/** Where each module and listener is defined, as `module mod_ping` and `listener mod_mqtt`, and what its doc comment says. */
export function findModuleSources(root: string): ReadonlyMap<string, ModuleSource> {
  const found = new Map<string, ModuleSource>()
  for (const file of sourceFiles(root)) {
    const text = readFileSync(join(root, file), 'utf8')
    for (const match of text.matchAll(
      /export const \w+(?:: [^=]+)? = define(Module|Listener)(?:<[^(]*>)?\(\{\s*name: '(\w+)'/g,
    )) {
      found.set(`${match[1]?.toLowerCase() ?? ''} ${match[2] ?? ''}`, {
        file,
        comment: commentBefore(text, match.index),
      })
    }
  }
  return found
}

/** Specifications that the code cites where it enforces their rules, with the parts of the tree that do. */
export function findCitations(root: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, Set<string>>()
  for (const file of sourceFiles(root)) {
    const area = file.split('/').slice(0, 3).join('/').replace(/\.ts$/, '')
    const text = readFileSync(join(root, file), 'utf8')
    for (const [, spec = ''] of text.matchAll(/\b(RFC \d{4}|XEP-\d{4}|MQTT[35])\b/g)) {
      found.getOrInsertComputed(spec, () => new Set()).add(area)
    }
  }
  return new Map([...found].map(([spec, areas]) => [spec, [...areas].sort()]))
}

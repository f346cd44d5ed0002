import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Command, CommandType } from '../../src/core/command.ts'
import { listenerOptions } from '../../src/core/config/listener-options.ts'
import { optionAreas, structuralOptions } from '../../src/core/config/toplevel.ts'
import { describe } from '../../src/core/options.ts'
import type { OptionMap } from '../../src/core/options.ts'
import { modules } from '../../src/modules/index.ts'
import { listenerModules, requestHandlers } from '../../src/server/protocols.ts'
import { findModuleSources, sourceFiles } from './source.ts'

type OptionDescription = ReturnType<typeof describe>[number]

export interface OwnModule {
  readonly name: string
  readonly comment: string
  readonly file: string | undefined
  readonly specs: readonly string[]
  readonly requires: readonly string[]
  readonly options: readonly OptionDescription[]
}

export interface OwnListener {
  readonly name: string
  readonly comment: string
  readonly transports: readonly string[]
  /** Its own, without those that all listeners have. */
  readonly options: readonly OptionDescription[]
}

export interface OwnArea {
  readonly area: string
  readonly global: readonly OptionDescription[]
  readonly host: readonly OptionDescription[]
}

/** What this server has, in the order in which pages show it. */
export interface Own {
  readonly areas: readonly OwnArea[]
  readonly modules: readonly OwnModule[]
  readonly commonListenerOptions: readonly OptionDescription[]
  readonly listeners: readonly OwnListener[]
  readonly handlers: readonly string[]
  readonly commands: readonly Command[]
  /** Words that the shell answers by itself. */
  readonly shellCommands: readonly string[]
}

export async function readOwn(root: string): Promise<Own> {
  const sources = findModuleSources(root)
  const isRead = readerOf(root)
  const read = (options: readonly OptionDescription[]): readonly OptionDescription[] =>
    options.map((option) =>
      option.status !== 'works' || isRead(option.name) ? option : { ...option, status: 'not-yet' },
    )
  return {
    areas: Object.entries(optionAreas).map(([area, part]) => ({
      area,
      global: read(describe(part.global satisfies OptionMap)),
      host: read(describe(part.host satisfies OptionMap)),
    })),
    modules: modules
      .map(({ name, specs, requires, options }) => ({
        name,
        comment: sources.get(`module ${name}`)?.comment ?? '',
        file: sources.get(`module ${name}`)?.file,
        specs: specs ?? [],
        requires: requires ?? [],
        options: describe(options),
      }))
      .sort(byName),
    commonListenerOptions: describe(listenerOptions),
    listeners: listenerModules
      .map(({ name, transports, options }) => ({
        name,
        comment: sources.get(`listener ${name}`)?.comment ?? '',
        transports,
        options: describe(options).filter(({ name: own }) => !Object.hasOwn(listenerOptions, own)),
      }))
      .sort(byName),
    handlers: requestHandlers.map(({ name }) => name).sort(),
    commands: await findCommands(root),
    shellCommands: ['help'],
  }
}

/** Tells whether anything but the declaration names a top-level option: one that is read nowhere does not work. */
function readerOf(root: string): (name: string) => boolean {
  const words = new Set<string>(structuralOptions)
  for (const file of sourceFiles(root)) {
    if (file.startsWith('src/core/config/toplevel')) continue
    for (const word of readFileSync(join(root, file), 'utf8').match(/\w+/g) ?? []) words.add(word)
  }
  return (name) => words.has(name)
}

/**
 * Every command that some file exports, alone or in a list: those of the server and those that modules bring. Throws when
 * one is defined but not exported, because it would be missing from the docs.
 */
async function findCommands(root: string): Promise<readonly Command[]> {
  const found = new Set<Command>()
  const defined = new Map<string, string>()
  for (const file of sourceFiles(root)) {
    if (file === 'src/core/command.ts') continue
    const path = join(root, file)
    const text = readFileSync(path, 'utf8')
    if (!text.includes('defineCommand(')) continue
    for (const [, name = ''] of text.matchAll(/defineCommand\(\{\s*name: '(\w+)'/g)) {
      defined.set(name, file)
    }
    const exported: unknown = await import(pathToFileURL(path).href)
    for (const value of Object.values(exported as Record<string, unknown>)) {
      for (const own of Array.isArray(value) ? value : [value]) if (isCommand(own)) found.add(own)
    }
  }
  for (const { name } of found) defined.delete(name)
  for (const [name, file] of defined) {
    throw new Error(`${file}: the command "${name}" is not exported, so the docs cannot show it`)
  }
  return [...found].sort((a, b) => byName(a, b) || a.version - b.version)
}

function isCommand(value: unknown): value is Command {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['name', 'tags', 'version', 'args', 'result', 'run'].every((key) => key in value)
  )
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0
}

/** `user:binary, host:binary`, as in the catalogue. */
export function argsText({ args }: Pick<Command, 'args'>): string {
  return args.map(({ name, type }) => `${name}:${typeText(type)}`).join(', ')
}

export function resultText({ result }: Pick<Command, 'result'>): string {
  return typeof result === 'string' ? result : `${result.name}:${typeText(result.type)}`
}

function typeText(type: CommandType): string {
  if (typeof type === 'string') return type
  if ('list' in type) return `[${type.list.name}:${typeText(type.list.type)}]`
  return `{${type.tuple.map(({ name, type: own }) => `${name}:${typeText(own)}`).join(', ')}}`
}

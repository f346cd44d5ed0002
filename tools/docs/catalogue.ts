import { readFileSync } from 'node:fs'

/** One API version of a command of ejabberd. */
export interface CatalogueCommand {
  /** Where ejabberd defines it: `mod_admin_extra`, `Core (ejabberd_admin)`. */
  readonly group: string
  readonly name: string
  readonly version: number
  readonly tags: readonly string[]
  /** `user:binary, host:binary` */
  readonly args: string
  /** `rescode`, `restuple` or `users:[username:string]` */
  readonly result: string
}

/** Everything that ejabberd has, by name: what `docs/compatibility.md` answers for. */
export interface Catalogue {
  /** Top-level options by area. */
  readonly options: ReadonlyMap<string, readonly string[]>
  /** Modules with their options by area. */
  readonly modules: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>
  /** Listener modules with their own options; `common` has those that all listeners have. */
  readonly listeners: ReadonlyMap<string, readonly string[]>
  readonly handlers: readonly string[]
  readonly commands: readonly CatalogueCommand[]
}

export function readCatalogue(): Catalogue {
  // The files beside this one have these shapes; the catalogue's own test counts what is in them.
  const options = readJson('options.json') as Record<string, readonly string[]>
  const modules = readJson('modules.json') as Record<string, Record<string, readonly string[]>>
  const listeners = readJson('listeners.json') as Record<string, readonly string[]>
  return {
    options: new Map(Object.entries(options)),
    modules: new Map(
      Object.entries(modules).map(([area, own]) => [area, new Map(Object.entries(own))]),
    ),
    listeners: new Map(Object.entries(listeners)),
    handlers: readJson('handlers.json') as readonly string[],
    commands: readCommands(),
  }
}

function readCommands(): readonly CatalogueCommand[] {
  const [, ...lines] = read('commands.tsv').trimEnd().split('\n')
  return lines.map((line) => {
    const [group = '', name = '', version = '', tags = '', args = '', result = ''] =
      line.split('\t')
    return { group, name, version: Number(version), tags: tags.split(', '), args, result }
  })
}

function readJson(name: string): unknown {
  return JSON.parse(read(name))
}

function read(name: string): string {
  return readFileSync(new URL(`./ejabberd/${name}`, import.meta.url), 'utf8')
}

import { homedir } from 'node:os'
import { dirname, resolve } from 'node:path'
import { nodeOf, Place, SourceFile } from '../options/node.ts'
import { buildConfig } from './build.ts'
import { FileReader } from './include.ts'
import { rewriteOldNames, Rewriting } from './legacy.ts'
import { applyMacros, environmentMacros } from './macros.ts'
import type { ConfigNode, MapNode } from '../options/node.ts'
import type { Problem } from '../options/problem.ts'
import type { Config } from './config.ts'
import type { Variables } from './macros.ts'
import type { ConfigSchema } from './schema.ts'

/** A file, or a text together with the name that problems give it. */
export type ConfigSource =
  | { readonly path: string }
  | { readonly text: string; readonly file: string }
  /** Options as an object, for tests and for those who embed the server. */
  | { readonly options: Readonly<Record<string, unknown>> }

export interface LoadEnvironment {
  /** The version of the server: `@SEMVER@`, and in the form 26.07 `@VERSION@`. */
  readonly version: string
  /** Environment variables; those of the process by default. */
  readonly variables?: Variables
  /** Where relative paths of certificates and keys start. */
  readonly directory?: string
  readonly databasePath?: string
  readonly logPath?: string
  /** Whether files that options name have to be there. */
  readonly checkFiles?: boolean
}

export interface LoadResult {
  /** Absent if there is any error. */
  readonly config: Config | undefined
  /** Everything that is wrong or worth knowing, in the order of the files. */
  readonly problems: readonly Problem[]
}

/** Reads a configuration and checks it as a whole. Never throws: what is wrong comes back as problems. */
export async function loadConfig(
  source: ConfigSource,
  schema: ConfigSchema,
  environment: LoadEnvironment,
): Promise<LoadResult> {
  const variables = environment.variables ?? process.env
  const directory = environment.directory ?? process.cwd()
  const problems: Problem[] = []
  const macros = environmentMacros(variables, problems)
  const path = resolve(
    directory,
    'path' in source ? source.path : 'file' in source ? source.file : 'options',
  )
  const keywords = predefinedKeywords(path, directory, variables, environment)
  const reader = new FileReader(macros, keywords)
  const root = await readRoot(source, reader, path)
  problems.push(...reader.problems)
  if (root === undefined) {
    if (problems.length === 0) {
      const file = nameOf(source)
      problems.push({
        severity: 'error',
        file,
        line: 1,
        column: 1,
        path: '',
        message: 'the option "hosts" is required',
      })
    }
    return { config: undefined, problems: inOrder(problems, reader.sources) }
  }
  const rewriting = new Rewriting()
  const current = rewriteOldNames(applyMacros(root, macros, problems), rewriting)
  const built = buildConfig(current, {
    schema,
    version: environment.version,
    keywords,
    directory,
    checkFiles: environment.checkFiles ?? true,
    sources: reader.sources,
  })
  const all = inOrder([...problems, ...rewriting.problems, ...built.problems], reader.sources)
  const isWrong = all.some(({ severity }) => severity === 'error')
  return { config: isWrong ? undefined : built.config, problems: all }
}

async function readRoot(
  source: ConfigSource,
  reader: FileReader,
  path: string,
): Promise<MapNode | undefined> {
  if ('path' in source) return reader.read(path, nameOf(source))
  if ('text' in source) return reader.parse(source.text, source.file, path)
  const node = nodeOf(source.options, new Place(new SourceFile(nameOf(source), ''), 0))
  return node.kind === 'map' ? node : undefined
}

function nameOf(source: ConfigSource): string {
  if ('path' in source) return source.path
  return 'text' in source ? source.file : '(options)'
}

function predefinedKeywords(
  path: string,
  directory: string,
  variables: Variables,
  environment: LoadEnvironment,
): ReadonlyMap<string, ConfigNode> {
  const values = {
    HOME: variables['HOME'] ?? homedir(),
    CONFIG_PATH: dirname(path),
    DATABASE_PATH: environment.databasePath ?? directory,
    LOG_PATH: environment.logPath ?? directory,
    SEMVER: environment.version,
    VERSION: shortVersion(environment.version),
  }
  return new Map(Object.entries(values).map(([name, value]) => [name, nodeOf(value)]))
}

/** 26.7.1 in the form in which ejabberd's releases are named: 26.07. */
function shortVersion(version: string): string {
  const [major = '0', minor = '0'] = version.split('.')
  return `${major}.${minor.padStart(2, '0')}`
}

/** In the order of files, lines and columns; each only once, as many hosts may share it. */
function inOrder(problems: readonly Problem[], sources: readonly string[]): readonly Problem[] {
  const unique = new Map<string, Problem>()
  for (const problem of problems) {
    const key = `${problem.file}:${problem.line}:${problem.column}:${problem.path}:${problem.message}`
    if (!unique.has(key)) unique.set(key, problem)
  }
  // The first file is named as it was asked for, which need not be its absolute path.
  const rank = (file: string): number => Math.max(0, sources.indexOf(file))
  return [...unique.values()].toSorted(
    (a, b) => rank(a.file) - rank(b.file) || a.line - b.line || a.column - b.column,
  )
}

import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { invalid, scalarType } from './type.ts'
import type { ParseContext } from './context.ts'
import type { ScalarNode } from './node.ts'
import type { Type } from './type.ts'

/** An absolute path; nothing is looked up. */
export const pathType: Type<string> = scalarType(
  'a path',
  { type: 'string', minLength: 1 },
  (text, _, ctx) => (text === '' ? undefined : resolve(ctx.settings.directory ?? '.', text)),
)

/** A file that can be read. */
export const fileType: Type<string> = checked('a readable file', (path) => {
  accessSync(path, constants.R_OK)
  if (statSync(path).isDirectory()) return 'it is a directory'
  return undefined
})

/** A readable file with certificates or keys. */
export const pemType: Type<string> = checked('a PEM file', (path) =>
  readFileSync(path, 'utf8').includes('-----BEGIN ') ? undefined : 'it holds no certificate or key',
)

/** A directory that can be written to, or that can be made. */
export const directoryType: Type<string> = checked('a writable directory', (path) => {
  let existing = path
  while (statSync(existing, { throwIfNoEntry: false }) === undefined) existing = dirname(existing)
  if (!statSync(existing).isDirectory()) return `"${existing}" is not a directory`
  accessSync(existing, constants.W_OK)
  return undefined
})

function checked(name: string, problemOf: (path: string) => string | undefined): Type<string> {
  return scalarType(name, { type: 'string', minLength: 1 }, (text, node, ctx) => {
    if (text === '') return undefined
    const path = resolve(ctx.settings.directory ?? '.', text)
    if (ctx.settings.checkFiles === false) return path
    try {
      const problem = problemOf(path)
      return problem === undefined ? path : refuse(name, problem, node, ctx)
    } catch (cause) {
      return refuse(name, reasonOf(cause), node, ctx)
    }
  })
}

function refuse(name: string, why: string, node: ScalarNode, ctx: ParseContext): typeof invalid {
  ctx.report(node.at, `expected ${name}, but cannot use ${ctx.show(node)}: ${why}`)
  return invalid
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is not a directory',
  EROFS: 'the file system is read-only',
}

/** What a failed system call means to an administrator. */
export function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
  return reasons[code] ?? cause.message
}

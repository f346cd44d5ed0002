import { entryOf } from '../options/node.ts'
import { problemAt } from '../options/problem.ts'
import { Substitution } from '../options/substitute.ts'
import { parseYaml } from './yaml.ts'
import type { ConfigNode, MapEntry, MapNode } from '../options/node.ts'
import type { Problem } from '../options/problem.ts'

export type Variables = Readonly<Record<string, string | undefined>>

/** ejabberd's prefix and our own, which wins. */
const prefixes = ['EJABBERD_MACRO_', 'LINNET_MACRO_']

/** Macros from the environment, which add to those of the file and override them. */
export function environmentMacros(
  variables: Variables,
  problems: Problem[],
): Map<string, ConfigNode> {
  const macros = new Map<string, ConfigNode>()
  for (const prefix of prefixes) {
    for (const [variable, text] of Object.entries(variables)) {
      if (!variable.startsWith(prefix) || text === undefined) continue
      const parsed = parseYaml(text, `$${variable}`)
      problems.push(...parsed.problems)
      if (parsed.root !== undefined) macros.set(variable.slice(prefix.length), parsed.root)
    }
  }
  return macros
}

/** The macros that a file defines, together with those of the environment. */
export function definedMacros(
  root: MapNode,
  environment: ReadonlyMap<string, ConfigNode>,
  problems: Problem[],
): Map<string, ConfigNode> {
  const macros = new Map<string, ConfigNode>()
  const definition = entryOf(root, 'define_macro')
  if (definition !== undefined) {
    const { value } = definition
    if (value.kind !== 'map') {
      problems.push(problemAt(value.at, 'define_macro', 'expected a map of names', 'error'))
    }
    const seen = new Map<string, MapEntry>()
    for (const entry of value.kind === 'map' ? value.entries : []) {
      const earlier = seen.get(entry.key)
      seen.set(entry.key, entry)
      macros.set(entry.key, entry.value)
      if (earlier === undefined) continue
      const message = `"${entry.key}" is set twice, first at ${earlier.keyAt.toString()}`
      problems.push(problemAt(entry.keyAt, 'define_macro', message, 'error'))
    }
  }
  for (const [name, value] of environment) macros.set(name, value)
  return macros
}

/** Replaces macros everywhere, and takes away their definitions. */
export function applyMacros(
  root: MapNode,
  environment: ReadonlyMap<string, ConfigNode>,
  problems: Problem[],
): MapNode {
  const macros = new Substitution(definedMacros(root, environment, problems), { quoted: true })
  const entries = root.entries
    .filter(({ key }) => key !== 'define_macro')
    .map((entry) => ({ ...entry, value: macros.apply(entry.value) }))
  problems.push(...macros.problems)
  return { ...root, entries }
}

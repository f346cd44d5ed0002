import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { format, resolveConfig } from 'prettier'
import { configJsonSchema } from '../src/core/config/json-schema.ts'
import { configSchema } from '../src/server/schema.ts'
import { readCatalogue } from './docs/catalogue.ts'
import { compatibilityPage } from './docs/compatibility.ts'
import { commandDifferences } from './docs/differences.ts'
import { readEvidence } from './docs/evidence.ts'
import { conformancePage } from './docs/mqtt-conformance.ts'
import type { Specification } from './docs/mqtt-conformance.ts'
import { mqtt3 } from './docs/mqtt-statements/mqtt3.ts'
import { mqtt31 } from './docs/mqtt-statements/mqtt31.ts'
import { mqtt5 } from './docs/mqtt-statements/mqtt5.ts'
import { readOwn } from './docs/own.ts'
import {
  commandsPage,
  hooksPage,
  listenersPage,
  modulesPage,
  optionsPage,
  specsPage,
} from './docs/pages.ts'
import { findCitations, findHooks } from './docs/source.ts'
import { Judge, unknownEvidence } from './docs/status.ts'

export const root: string = fileURLToPath(new URL('..', import.meta.url))

/** The specifications of MQTT. 3.1 has no numbered statements: its differences from 3.1.1 have numbers of ours. */
export const mqttSpecifications: readonly Specification[] = [
  { kind: 'MQTT5', title: 'MQTT 5.0', statements: mqtt5 },
  { kind: 'MQTT3', title: 'MQTT 3.1.1', statements: mqtt3 },
  { kind: 'MQTT31', title: 'MQTT 3.1, where it differs from 3.1.1', statements: mqtt31 },
]

/** The pages that come from the code and its tests, by path from the root of the repository. */
export async function generateDocs(): Promise<ReadonlyMap<string, string>> {
  const catalogue = readCatalogue()
  const own = await readOwn(root)
  const evidence = readEvidence(root)
  const unknown = unknownEvidence(own, evidence)
  if (unknown.length > 0) throw new Error(unknown.join('\n'))
  return new Map([
    ['docs/compatibility.md', compatibilityPage(catalogue, new Judge(own, evidence))],
    ['docs/options.md', optionsPage(own)],
    ['docs/modules.md', modulesPage(own)],
    ['docs/listeners.md', listenersPage(own)],
    ['docs/commands.md', commandsPage(own)],
    ['docs/hooks.md', hooksPage(findHooks(root))],
    ['docs/mqtt-conformance.md', conformancePage(mqttSpecifications, evidence)],
    ['docs/specs.md', specsPage(own, findCitations(root))],
    [
      'docs/differences.md',
      commandDifferences(readFileSync(join(root, 'docs/differences.md'), 'utf8')),
    ],
    ['docs/linnet.schema.json', await schemaText()],
  ])
}

async function schemaText(): Promise<string> {
  const text = JSON.stringify(configJsonSchema(configSchema()), (_key, value: unknown) =>
    plain(value),
  )
  const options = await resolveConfig(join(root, 'docs/linnet.schema.json'))
  return format(text, { ...options, parser: 'json' })
}

/** JSON has no infinity; the configuration writes it as a word. */
function plain(value: unknown): unknown {
  return value === Infinity ? 'infinity' : value
}

if (import.meta.main) {
  for (const [path, text] of await generateDocs()) {
    const file = join(root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
}

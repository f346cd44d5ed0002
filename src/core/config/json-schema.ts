import { jsonSchemaOf } from '../options.ts'
import { listenerOptions } from './listener-options.ts'
import { globalOptions, hostOptions, topLevelOptions } from './toplevel.ts'
import type { OptionMap } from '../options.ts'
import type { JsonSchema } from '../options/type.ts'
import type { ConfigSchema } from './schema.ts'

/** A JSON Schema of the whole configuration, by which editors complete and check it. */
export function configJsonSchema(schema: ConfigSchema): JsonSchema {
  const modules = modulesSchema(schema)
  const hostConfig = {
    type: 'object',
    additionalProperties: withProperties(hostOptions, { modules }, []),
  }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Configuration of Linnet',
    ...withProperties(
      topLevelOptions,
      {
        modules,
        listen: { type: 'array', items: listenerSchema(schema) },
        host_config: hostConfig,
        append_host_config: hostConfig,
      },
      ['hosts'],
    ),
  }
}

function withProperties(
  map: OptionMap,
  properties: Readonly<Record<string, JsonSchema>>,
  required: readonly string[],
): JsonSchema {
  const own = jsonSchemaOf(map)
  const described = Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [
      name,
      { ...schema, description: descriptionOf(name) },
    ]),
  )
  return { ...own, properties: { ...propertiesOf(own), ...described }, required }
}

function descriptionOf(name: string): string {
  const options: OptionMap = { ...globalOptions, ...hostOptions }
  return options[name]?.help ?? ''
}

function propertiesOf(schema: JsonSchema): JsonSchema {
  const properties = schema['properties']
  return typeof properties === 'object' && properties !== null ? { ...properties } : {}
}

function modulesSchema(schema: ConfigSchema): JsonSchema {
  const built = [...schema.modules].map(([name, options]): [string, JsonSchema] => [
    name,
    { anyOf: [jsonSchemaOf(options), { type: 'null' }] },
  ])
  const missing = [...schema.notBuilt.modules].map((name): [string, JsonSchema] => [
    name,
    { description: 'Not supported yet.' },
  ])
  return {
    type: 'object',
    properties: Object.fromEntries([...built, ...missing]),
    additionalProperties: false,
  }
}

/** One schema for each kind of listener, chosen by `module`. */
function listenerSchema(schema: ConfigSchema): JsonSchema {
  const built = [...schema.listeners].map(([name, options]) =>
    withModule(jsonSchemaOf({ ...options, ...listenerOptions }), { const: name }),
  )
  const missing = withModule(
    { type: 'object', required: ['port', 'module'] },
    { enum: [...schema.notBuilt.listeners] },
  )
  return { anyOf: [...built, missing] }
}

function withModule(schema: JsonSchema, module: JsonSchema): JsonSchema {
  return { ...schema, properties: { ...propertiesOf(schema), module } }
}

import { randomBytes } from 'node:crypto'
import type { HostStore, Migration } from '../core/store.ts'

declare module '../core/store.ts' {
  interface Tables {
    linnet_secret: { name: string; value: string }
  }
}

const migrations: readonly Migration[] = [
  {
    version: 1,
    title: 'Secrets of the server',
    tables: [
      {
        name: 'linnet_secret',
        columns: { name: { kind: 'key' }, value: { kind: 'text' } },
        keys: [{ kind: 'primary', columns: ['name'] }],
      },
    ],
  },
]

/**
 * A random secret of the database, made when first asked for: whatever follows from it stays the same over restarts and
 * on all nodes that share the database.
 */
export async function readSecret(store: HostStore, name: string): Promise<Buffer> {
  await store.migrate('auth', migrations)
  const table = store.table('linnet_secret')
  const find = async (): Promise<string | undefined> =>
    (await store.first(table.select().select('value').where('name', '=', name)))?.value
  let value = await find()
  if (value === undefined) {
    value = randomBytes(32).toString('base64')
    const outcome = await store.write(table.insert({ name, value })).settled
    if (!outcome.ok) {
      // Another node was faster: its secret is everybody's.
      if (outcome.error.code === 'constraint') value = await find()
      if (outcome.error.code !== 'constraint' || value === undefined) throw outcome.error
    }
  }
  return Buffer.from(value, 'base64')
}

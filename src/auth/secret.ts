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
  const value = await store.transaction(async (tx) => {
    const query = store.table('linnet_secret').select().select('value').where('name', '=', name)
    const found = await tx.first(query)
    if (found !== undefined) return found.value
    const made = randomBytes(32).toString('base64')
    await tx.write(store.table('linnet_secret').insert({ name, value: made }))
    return made
  })
  return Buffer.from(value, 'base64')
}

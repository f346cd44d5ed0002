import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testStore } from './contract.ts'

let dir = ''
let files = 0

const directory = {
  async start() {
    dir = await mkdtemp(join(tmpdir(), 'linnet-sqlite-'))
  },
  async stop() {
    await rm(dir, { recursive: true })
  },
}

for (const poolSize of [1, 3]) {
  testStore({
    name: `SQLite, ${poolSize} ${poolSize === 1 ? 'connection' : 'connections'}`,
    ...directory,
    fresh: async () => ({
      type: 'sqlite',
      file: join(dir, `${++files}.sqlite`),
      poolSize,
      multihost: true,
    }),
  })
}

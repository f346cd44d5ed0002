import { noPostgres, startPostgres } from '../../test/support/databases.ts'
import type { TestDatabaseServer } from '../../test/support/databases.ts'
import { testStore } from './contract.ts'
import { testServerLoss } from './server/contract.ts'

let server: TestDatabaseServer

testStore({
  name: 'PostgreSQL',
  skip: noPostgres,
  async start() {
    server = await startPostgres()
  },
  stop: () => server[Symbol.asyncDispose](),
  fresh: async () => ({ type: 'pgsql', ...(await server.createDatabase()), multihost: true }),
})

testServerLoss({ name: 'PostgreSQL', skip: noPostgres, type: 'pgsql', start: startPostgres })

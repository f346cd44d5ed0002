import { noMariadb, startMariadb } from '../../test/support/databases.ts'
import type { TestDatabaseServer } from '../../test/support/databases.ts'
import { testStore } from './contract.ts'
import { testServerLoss } from './server/contract.ts'

let server: TestDatabaseServer

testStore({
  name: 'MariaDB',
  skip: noMariadb,
  async start() {
    server = await startMariadb()
  },
  stop: () => server[Symbol.asyncDispose](),
  fresh: async () => ({ type: 'mysql', ...(await server.createDatabase()), multihost: true }),
})

testServerLoss({ name: 'MariaDB', skip: noMariadb, type: 'mysql', start: startMariadb })

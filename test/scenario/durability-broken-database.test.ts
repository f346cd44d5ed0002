import assert from 'node:assert/strict'
import { mkdtemp, open, readdir, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { callServer } from '../../src/admin/control-socket.ts'
import { MqttClient } from '../crash/mqtt-client.ts'
import { serverConfig } from '../crash/rounds.ts'
import { ServerProcess } from '../crash/server-process.ts'

const page = 4096

async function overwrite(file: string, at: number, bytes: number): Promise<void> {
  await using handle = await open(file, 'r+')
  await handle.write(Buffer.alloc(bytes, 0x55), 0, bytes, at)
}

/** The pages of a table, as SQLite itself tells them. */
function pagesOf(file: string, table: string): readonly number[] {
  using database = new DatabaseSync(file, { readOnly: true })
  return database
    .prepare('SELECT rootpage FROM sqlite_schema WHERE tbl_name = ?')
    .all(table)
    .map(({ rootpage }) => Number(rootpage))
}

const damages: readonly {
  readonly what: string
  /** Whether the server was killed before, and left its log. */
  readonly isKilled: boolean
  readonly damage: (file: string) => Promise<void>
}[] = [
  {
    what: 'whose header is garbage',
    isKilled: false,
    damage: (file) => overwrite(file, 0, 2 * page),
  },
  {
    what: 'that is cut off',
    isKilled: false,
    damage: async (file) => truncate(file, Math.floor((await stat(file)).size / 3)),
  },
  {
    what: 'that was left in haste, with a damaged page',
    isKilled: true,
    damage: async (file) => {
      for (const number of pagesOf(file, 'mqtt_pub'))
        await overwrite(file, (number - 1) * page, page)
    },
  },
  {
    what: 'that was closed in order, with a damaged page',
    isKilled: false,
    damage: async (file) => {
      for (const number of pagesOf(file, 'mqtt_pub'))
        await overwrite(file, (number - 1) * page, page)
    },
  },
]

for (const { what, isKilled, damage } of damages) {
  test(`a database ${what} is put aside, and the server starts`, async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'linnet-broken-'))
    try {
      const settings = { dataDir, config: serverConfig }
      const file = join(dataDir, 'linnet.sqlite')
      const register = () => callServer(dataDir, { words: ['register', 'user', 'localhost', 'x'] })
      {
        await using server = await ServerProcess.start(settings)
        assert.equal((await register())?.exit, 0)
        assert.equal(await server.stop(), 0)
      }
      if (isKilled) {
        // What is to be damaged is in the file now, and not in the log that this one leaves.
        await using server = await ServerProcess.start(settings)
        await callServer(dataDir, { words: ['register', 'other', 'localhost', 'x'] })
        await server.kill()
        assert.ok((await stat(`${file}-wal`)).size > 0)
      }
      await damage(file)
      await using server = await ServerProcess.start(settings)
      const aside = (await readdir(dataDir)).filter((name) => name.includes('.broken-'))
      assert.equal(
        aside.filter((name) => /^linnet\.sqlite\.broken-\d{8}T\d{6}Z$/.test(name)).length,
        1,
      )
      const errors = server.output.split('\n').filter((line) => line.includes('"level":"error"'))
      assert.equal(errors.length, 1, errors.join('\n'))
      assert.match(errors[0] ?? '', /database is broken.*put aside/i)
      assert.ok(errors[0]?.includes(aside[0] ?? 'nothing'))
      // Nothing of the old one is there, and the new one works.
      assert.equal((await register())?.exit, 0)
      await using client = await MqttClient.connect({
        port: server.port(1),
        clientIdentifier: 'client',
        userName: 'user@localhost',
        password: 'x',
      })
      const message = { topic: 'a', payload: Buffer.from('x'), qos: 1, retain: true } as const
      assert.equal(await client.publish(message), 'acknowledged')
    } finally {
      await rm(dataDir, { recursive: true })
    }
  })
}

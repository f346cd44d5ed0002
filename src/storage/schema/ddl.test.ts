import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { addColumn, createTable } from './ddl.ts'
import {
  bigText,
  boolean,
  defineTable,
  index,
  key,
  primary,
  references,
  serial,
  text,
  timestamp,
  unique,
  withDefault,
} from './define.ts'

const letters = defineTable(
  'letters',
  {
    id: serial(),
    server_host: key(),
    writer: key(),
    subject: withDefault(text(), "it's"),
    body: bigText(),
    sent: timestamp(),
    read: boolean(),
    node: references('pubsub_node', 'nodeid'),
  },
  [unique(['id']), unique(['server_host', 'writer', 'subject'], { writer: 75 }), index(['sent'])],
)

/** One line a statement, for comparison. */
const flat = (statements: readonly string[]) => statements.map((text) => text.replace(/\s+/g, ' '))

describe('table definition', () => {
  const rows = [
    {
      dialect: 'sqlite',
      multihost: true,
      statements: [
        `CREATE TABLE IF NOT EXISTS "letters" ( "id" integer primary key autoincrement, "server_host" text NOT NULL, "writer" text NOT NULL, "subject" text NOT NULL DEFAULT 'it''s', "body" text NOT NULL, "sent" timestamp NOT NULL, "read" boolean NOT NULL, "node" bigint REFERENCES "pubsub_node"("nodeid") ON DELETE CASCADE )`,
        'CREATE UNIQUE INDEX IF NOT EXISTS "i_letters_server_host_writer_subject" ON "letters" ("server_host", "writer", "subject")',
        'CREATE INDEX IF NOT EXISTS "i_letters_sent" ON "letters" ("sent")',
      ],
    },
    {
      dialect: 'postgres',
      multihost: false,
      statements: [
        `CREATE TABLE IF NOT EXISTS "letters" ( "id" bigserial, "writer" text NOT NULL, "subject" text NOT NULL DEFAULT 'it''s', "body" text NOT NULL, "sent" timestamp NOT NULL, "read" boolean NOT NULL, "node" bigint REFERENCES "pubsub_node"("nodeid") ON DELETE CASCADE, UNIQUE ("id") )`,
        'CREATE UNIQUE INDEX IF NOT EXISTS "i_letters_writer_subject" ON "letters" ("writer", "subject")',
        'CREATE INDEX IF NOT EXISTS "i_letters_sent" ON "letters" ("sent")',
      ],
    },
    {
      dialect: 'mysql',
      multihost: true,
      statements: [
        'CREATE TABLE IF NOT EXISTS `letters` ( `id` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, `server_host` varchar(191) NOT NULL, `writer` varchar(191) NOT NULL, `subject` text NOT NULL, `body` mediumtext NOT NULL, `sent` timestamp NOT NULL, `read` boolean NOT NULL, `node` bigint NULL, UNIQUE KEY `i_letters_server_host_writer_subject` (`server_host`, `writer`(75), `subject`(191)), KEY `i_letters_sent` (`sent`), FOREIGN KEY (`node`) REFERENCES `pubsub_node` (`nodeid`) ON DELETE CASCADE ) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci',
      ],
    },
  ] as const
  for (const { dialect, multihost, statements } of rows) {
    test(`is written for ${dialect} ${multihost ? 'with' : 'without'} server_host`, () => {
      assert.deepEqual(flat(createTable(letters, { dialect, multihost })), statements)
    })
  }

  test('shortens names of keys that databases would refuse, differently for each', () => {
    const long = ['a', 'b'].map((end) => `a_column_with_a_name_of_some_length_${end}`)
    const table = defineTable(
      'linnet_some_table_of_ours',
      Object.fromEntries(long.map((name) => [name, key()])),
      long.map((name) => index([name])),
    )
    const [, ...keys] = createTable(table, { dialect: 'postgres', multihost: true })
    const names = keys.map((text) => /"(i_[^"]+)"/.exec(text)?.[1] ?? '')
    assert.equal(new Set(names).size, 2)
    for (const name of names) assert.ok(name.length <= 60)
  })

  test('compares names in our own MySQL tables exactly', () => {
    const table = defineTable('linnet_x', { a: key() }, [primary(['a'])])
    assert.match(createTable(table, { dialect: 'mysql', multihost: true }).join(), /utf8mb4_bin$/)
  })
})

test('a column added to a table with rows keeps a default, for those who do not know it', () => {
  const form = { dialect: 'postgres', multihost: true } as const
  assert.equal(
    addColumn(letters, 'read', form),
    'ALTER TABLE "letters" ADD COLUMN "read" boolean NOT NULL DEFAULT false',
  )
  assert.equal(
    addColumn(letters, 'body', form),
    `ALTER TABLE "letters" ADD COLUMN "body" text NOT NULL DEFAULT ''`,
  )
  assert.equal(
    addColumn(letters, 'node', { ...form, dialect: 'mysql' }),
    'ALTER TABLE `letters` ADD COLUMN `node` bigint NULL',
  )
})

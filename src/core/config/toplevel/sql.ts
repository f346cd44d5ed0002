import {
  accepted,
  choice,
  computed,
  duration,
  flag,
  from,
  integer,
  list,
  notYet,
  optional,
  pem,
  port,
  secret,
  t,
  text,
} from '../../options.ts'

const defaultPorts = new Map<unknown, number>([
  ['mysql', 3306],
  ['pgsql', 5432],
  ['mssql', 1433],
])

export const sql = {
  global: {
    sql_schema_multihost: flag(false, 'Whether tables have a column for the host.'),
    update_sql_schema: flag(true, 'Whether tables are made and brought up to date at start.'),
  },
  host: {
    sql_type: choice(
      ['mysql', 'pgsql', 'sqlite', 'mssql', 'odbc'],
      'odbc',
      'The kind of database.',
    ),
    sql_server: text('localhost', 'Host name, address, or unix:PATH of a socket.'),
    sql_port: port(
      computed(
        (lookUp) => defaultPorts.get(lookUp('sql_type')),
        '3306 mysql, 5432 pgsql, 1433 mssql',
      ),
      'Port of the server.',
    ),
    sql_database: text(optional, 'Name of the database; for SQLite its file.'),
    sql_username: text('ejabberd', 'Name to log in with.'),
    sql_password: secret(text('', 'Password to log in with.')),
    sql_pool_size: integer(
      { min: 1 },
      computed((lookUp) => (lookUp('sql_type') === 'sqlite' ? 1 : 10), '1 for sqlite, else 10'),
      'Connections to the server.',
    ),
    sql_connect_timeout: duration('5 seconds', 'How long connecting may take.'),
    sql_query_timeout: duration('1 minute', 'How long a query may take.'),
    sql_start_interval: duration('30 seconds', 'How long to wait before connecting again.'),
    sql_keepalive_interval: duration(optional, 'How often an idle connection is tried.'),
    sql_queue_type: accepted(
      choice(['ram', 'file'], from('queue_type'), 'Where requests wait.'),
      'requests wait in memory, in a queue of limited length',
    ),
    sql_ssl: flag(false, 'Whether the connection is encrypted.'),
    sql_ssl_verify: flag(false, 'Whether the certificate of the server is checked.'),
    sql_ssl_cafile: pem(optional, 'Authorities that it is checked against.'),
    sql_ssl_certfile: pem(optional, 'Own certificate and key.'),
    sql_odbc_driver: notYet(text('libtdsodbc.so', 'ODBC driver for mssql.')),
    sql_prepared_statements: flag(true, 'Whether statements are prepared.'),
    sql_flags: accepted(
      list(t.choice(['mysql_alternative_upsert']), [], 'Variants of statements.'),
      'the statements used here work on every version',
    ),
    update_sql_schema_timeout: duration('5 minutes', 'How long changes of tables may take.', {
      orInfinity: true,
    }),
    pgsql_users_number_estimate: notYet(
      flag(false, 'Whether users are counted by the statistics of PostgreSQL.'),
    ),
  },
}

import { choice, from } from '../core/options.ts'

/** For modules that keep something in ejabberd's tables: it decides which database `ctx.store` is. */
export const dbTypeOption = {
  db_type: choice(
    ['mnesia', 'sql'],
    from('default_db'),
    'Where the data is kept: "sql" is the database of the sql_* options, "mnesia" the embedded one.',
  ),
} as const

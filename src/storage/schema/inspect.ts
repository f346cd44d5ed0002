import type { StoreDialect } from '../../core/store.ts'
import type { Driver } from '../driver.ts'

export interface TableLayout {
  readonly columns: ReadonlySet<string>
  /** The columns of each unique key, the primary one included. */
  readonly uniqueKeys: readonly (readonly string[])[]
}

/** What the database really has, by table: ejabberd's have grown over the years. */
export type Layout = ReadonlyMap<string, TableLayout>

const columnQueries: Record<StoreDialect, string> = {
  sqlite: `
    SELECT t.name AS tbl, c.name AS col FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
    WHERE t.type = 'table'`,
  postgres: `
    SELECT t.relname AS tbl, a.attname AS col FROM pg_class t
    JOIN pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = current_schema() AND t.relkind IN ('r', 'p')`,
  mysql: `
    SELECT table_name AS tbl, column_name AS col FROM information_schema.columns
    WHERE table_schema = database()`,
}

/** Unique keys, column by column in order. Partial keys and keys of expressions are no use for an upsert. */
const keyQueries: Record<StoreDialect, string> = {
  sqlite: `
    SELECT * FROM (
      SELECT t.name AS tbl, i.name AS idx, c.name AS col, c.seqno AS pos
      FROM sqlite_schema AS t, pragma_index_list(t.name) AS i, pragma_index_info(i.name) AS c
      WHERE t.type = 'table' AND i."unique" = 1 AND i.partial = 0
      UNION ALL
      SELECT t.name, 'primary', c.name, c.pk FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
      WHERE t.type = 'table' AND c.pk > 0
    ) ORDER BY tbl, idx, pos`,
  postgres: `
    SELECT t.relname AS tbl, i.relname AS idx, a.attname AS col FROM pg_index x
    JOIN pg_class t ON t.oid = x.indrelid
    JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS k(attnum, pos)
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum
    WHERE n.nspname = current_schema() AND x.indisunique
      AND x.indpred IS NULL AND x.indexprs IS NULL
    ORDER BY tbl, idx, k.pos`,
  mysql: `
    SELECT table_name AS tbl, index_name AS idx, column_name AS col
    FROM information_schema.statistics
    WHERE table_schema = database() AND non_unique = 0
    ORDER BY table_name, index_name, seq_in_index`,
}

export async function inspect(driver: Driver): Promise<Layout> {
  const columns = await driver.read({ sql: columnQueries[driver.dialect], values: [] })
  const keys = await driver.read({ sql: keyQueries[driver.dialect], values: [] })
  const layout = new Map<string, { columns: Set<string>; keys: Map<string, string[]> }>()
  for (const { tbl, col } of columns) {
    const name = String(tbl)
    const table = layout.get(name) ?? { columns: new Set(), keys: new Map() }
    table.columns.add(String(col))
    layout.set(name, table)
  }
  for (const { tbl, idx, col } of keys) {
    const table = layout.get(String(tbl))
    if (table === undefined) continue
    const key = table.keys.get(String(idx)) ?? []
    key.push(String(col))
    table.keys.set(String(idx), key)
  }
  return new Map(
    Array.from(layout, ([name, table]) => [
      name,
      { columns: table.columns, uniqueKeys: [...table.keys.values()] },
    ]),
  )
}

/** The unique key of these columns, `server_host` apart, as the table has it. */
export function uniqueKeyOf(
  table: TableLayout,
  columns: readonly string[],
): readonly string[] | undefined {
  return table.uniqueKeys.find((key) => {
    const own = key.filter((column) => column !== 'server_host')
    return own.length === columns.length && own.every((column) => columns.includes(column))
  })
}

import type { ModuleContext } from '../core/module.ts'
import { choice, from } from '../core/options.ts'
import { hosts } from '../core/shared.ts'
import type { HostStore } from '../core/store.ts'

/** `db_type`: for modules that keep something in ejabberd's tables. */
export const dbTypeOption = {
  db_type: choice(
    ['mnesia', 'sql'],
    from('default_db'),
    'Where the data is kept: "sql" is the database of the sql_* options, "mnesia" the embedded one.',
  ),
} as const

/** The database that a module's `db_type` names. */
export function storeOf(
  context: Pick<ModuleContext, 'service' | 'host'>,
  options: { readonly db_type: string },
): HostStore {
  return context.service(hosts).get(context.host).storeFor(options.db_type)
}

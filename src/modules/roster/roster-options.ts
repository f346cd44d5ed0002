import { access, flag, from } from '../../core/options.ts'
import type { ValuesOf } from '../../core/options.ts'
import { cacheOptions } from '../cache.ts'
import { dbTypeOption } from '../db-type.ts'

export const rosterOptions = {
  access: access('all', 'Who may change a roster and ask for subscriptions.'),
  versioning: flag(
    false,
    'Tell clients the version of their roster, so that they need not load it again (RFC 6121 §2.6).',
  ),
  store_current_id: flag(
    false,
    'Keep that version in the database instead of working it out from the roster. Not together with shared rosters.',
  ),
  ...dbTypeOption,
  ...cacheOptions,
  cache_missed: flag(from('cache_missed'), 'Whether empty rosters are kept in memory, too.'),
} as const

export type RosterOptions = ValuesOf<typeof rosterOptions>

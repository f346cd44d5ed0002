import { flag, notYet, oneOf, shaperRule, t } from '../../core/options.ts'
import { cacheOptions } from '../cache.ts'
import { dbTypeOption } from '../db-type.ts'

export const offlineOptions = {
  access_max_user_messages: shaperRule(
    'max_user_offline_messages',
    'How many messages are kept for an account.',
  ),
  store_empty_body: oneOf(
    [t.flag, t.choice(['unless_chat_state'])],
    'unless_chat_state',
    'Whether messages without a body are kept: all, none, or all but those that are a chat state only.',
  ),
  use_mam_for_storage: notYet(
    flag(false, 'Read what was missed from the archive instead of a table of its own.'),
  ),
  bounce_groupchat: notYet(
    flag(false, 'Whether messages of rooms that cannot be kept go back with an error.'),
  ),
  store_groupchat: notYet(flag(false, 'Whether messages of rooms are kept, too.')),
  ...dbTypeOption,
  ...cacheOptions,
} as const

import { access, accepted, choice, flag, notYet } from '../../core/options.ts'
import { cacheOptions } from '../cache.ts'
import { dbTypeOption } from '../db-type.ts'

export const mamOptions = {
  assume_mam_usage: notYet(
    flag(false, 'Whether clients are taken to read in the archive what they have missed.'),
  ),
  default: choice(
    ['always', 'never', 'roster'],
    'never',
    'What is archived for accounts that have not said so themselves: everything, nothing, or what goes between contacts.',
  ),
  request_activates_archiving: flag(
    false,
    'Archive for an account only from when it first asks for its archive.',
  ),
  compress_xml: notYet(flag(false, 'Whether messages are kept in a shorter form.')),
  clear_archive_on_room_destroy: notYet(
    flag(true, 'Whether the archive of a room goes with the room.'),
  ),
  access_preferences: access('all', 'Who may say what is archived for the own account.'),
  user_mucsub_from_muc_archive: notYet(
    flag(false, 'Whether what subscribers of rooms got is read from the archives of the rooms.'),
  ),
  archive_muc_as_mucsub: notYet(
    flag(false, 'Whether messages of rooms are archived for their subscribers.'),
  ),
  ...dbTypeOption,
  ...cacheOptions,
  cache_missed: accepted(
    flag(true, 'Whether it is cached, too, that an account has said nothing.'),
    'preferences are cached whether there are any or not',
  ),
} as const

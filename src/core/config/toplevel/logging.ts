import { duration, flag, integer, list, notYet, option, t } from '../../options.ts'
import type { LogLevel } from '../../log.ts'

const levels = [
  'none',
  'emergency',
  'alert',
  'critical',
  'error',
  'warning',
  'notice',
  'info',
  'debug',
] as const satisfies readonly LogLevel[]

/** ejabberd's old numbers, by their value. */
const numbered = ['none', 'critical', 'error', 'warning', 'info', 'debug'] as const

const levelType = t.changed(
  t.choice([...levels, '0', '1', '2', '3', '4', '5']),
  (level): LogLevel =>
    /^\d$/.test(level) ? (numbered[Number(level)] ?? 'info') : levelNamed(level),
)

function levelNamed(name: string): LogLevel {
  return levels.find((level) => level === name) ?? 'info'
}

export const logging = {
  global: {
    loglevel: option(levelType, 'info', 'The least important messages that are logged.'),
    log_rotate_count: integer({ min: 0 }, 1, 'Rotated log files that are kept.'),
    log_rotate_size: integer(
      { min: 1, orInfinity: true },
      10_485_760,
      'Size in bytes at which the log file is rotated.',
    ),
    log_burst_limit_count: notYet(
      integer({ min: 1 }, 500, 'Messages logged in one window before others are dropped.'),
    ),
    log_burst_limit_window_time: notYet(duration('1 second', 'Length of that window.')),
    log_modules_fully: list(t.text, [], 'Modules whose messages are all logged.'),
  },
  host: {
    hide_sensitive_log_data: flag(false, 'Mask IP addresses in the log.'),
  },
}

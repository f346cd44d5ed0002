import { accepted, flag, integer } from '../../options.ts'

const noKiller = 'every queue has a limit of its own, so nothing has to be killed'

export const memory = {
  global: {
    oom_killer: accepted(flag(true, 'Kill processes when memory is short.'), noKiller),
    oom_watermark: accepted(integer({ min: 1, max: 99 }, 80, 'Percentage of memory.'), noKiller),
    oom_queue: accepted(
      integer({ min: 1 }, 10_000, 'Length of a queue that is too long.'),
      noKiller,
    ),
  },
  host: {},
}

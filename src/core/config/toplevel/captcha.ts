import { integer, notYet, oneOf, optional, t, text } from '../../options.ts'

export const captcha = {
  global: {
    captcha_cmd: notYet(text(optional, 'Program that draws the pictures.')),
    captcha_url: notYet(
      oneOf(
        [t.choice(['auto', 'undefined']), t.url()],
        'auto',
        'Address of the pages with pictures.',
      ),
    ),
    captcha_host: notYet(text('', 'Host of these pages; captcha_url is better.')),
    captcha_limit: notYet(
      integer({ min: 1, orInfinity: true }, 'infinity', 'Pictures per minute for one JID.'),
    ),
  },
  host: {},
}

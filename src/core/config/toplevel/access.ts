import { duration, notYet, oneOf, option, t } from '../../options.ts'
import { aclsType } from '../../options/acl-types.ts'
import { apiPermissionsType } from '../../options/api-permission-types.ts'
import { accessRulesType, shaperRulesType } from '../../options/rule-types.ts'
import { shapersType } from '../../options/shaper-types.ts'

export const access = {
  global: {
    api_permissions: option(
      apiPermissionsType,
      {
        'admin access': {
          who: [{ acl: 'admin' }, { oauth: { scope: 'ejabberd:admin', acl: 'admin' } }],
          what: ['*', '!start', '!stop'],
        },
      },
      'Who may call which commands.',
    ),
    shaper: option(shapersType, {}, 'Named rates in bytes per second.'),
    trusted_proxies: oneOf(
      [t.choice(['all']), t.list(t.cidr)],
      [],
      'Proxies whose X-Forwarded-For header is believed.',
    ),
    registration_timeout: notYet(
      duration('10 minutes', 'Least time between two registrations from one address.', {
        orInfinity: true,
      }),
    ),
  },
  host: {
    acl: option(aclsType, {}, 'Named sets of accounts and addresses.'),
    access_rules: option(accessRulesType, {}, 'Named lists of who is allowed and who is denied.'),
    shaper_rules: option(shaperRulesType, {}, 'Named lists of which limit holds for whom.'),
  },
}

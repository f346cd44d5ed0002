import type { Option } from '../core/options.ts'
import { access, flag, integer, option, required, t } from '../core/options.ts'
import type { AccessRule } from '../core/options/rule-types.ts'
import type { Type } from '../core/options/type.ts'
import { invalid } from '../core/options/type.ts'

/** One entry of `access_publish` or `access_subscribe`. */
export interface TopicRule {
  readonly access: AccessRule
  /** Highest QoS that it allows. */
  readonly maxQoS: number
  /** Whether it allows retained messages: to publish them, or to be sent them when subscribing. */
  readonly retain: boolean
}

const limited = {
  access: access(required, 'Who may.'),
  max_qos: integer({ min: 0, max: 2 }, 2, 'Highest QoS.'),
  retain: flag(true, 'Whether messages may be retained ones.'),
}
const limitedType = t.record(limited)

/** ejabberd's form is an access rule; with limits it stands under `access` in a map, whose keys no rule has. */
const topicRuleType: Type<TopicRule> = {
  name: `${t.access.name} or ${limitedType.name}`,
  takes: t.access.takes,
  parse(node, ctx) {
    const isLimited =
      node.kind === 'map' && node.entries.some(({ key }) => Object.hasOwn(limited, key))
    if (isLimited) {
      const values = limitedType.parse(node, ctx)
      if (values === invalid) return invalid
      return { access: values.access, maxQoS: values.max_qos, retain: values.retain }
    }
    const rule = t.access.parse(node, ctx)
    return rule === invalid ? invalid : { access: rule, maxQoS: 2, retain: true }
  },
  schema: () => ({ anyOf: [t.access.schema(), limitedType.schema()] }),
}

/** Rules by topic filter, in the order in which they are written. */
export function topicRules(help: string): Option<ReadonlyMap<string, TopicRule>> {
  return option(t.map(t.topicFilter, topicRuleType), {}, help)
}

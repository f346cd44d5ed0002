import { access } from '../core/shared.ts'
import { signInAllowed, signInDenialText, signInTried } from '../core/account.ts'
import { defineCommand } from '../core/command.ts'
import type { Clock } from '../core/clock.ts'
import { defineModule } from '../core/module.ts'
import { access as accessOption, duration, integer } from '../core/options.ts'
import { defineService } from '../core/service.ts'
import type { Services } from '../core/service.ts'
import type { Cidr } from '../util/cidr.ts'
import { cidrContains, formatIpAddress, parseCidr, parseIpAddress } from '../util/cidr.ts'

/** Addresses that are remembered; beyond, those that failed least recently and are not banned go first. */
const maxAddresses = 100_000

interface Failures {
  readonly count: number
  /** When it is forgotten, in milliseconds since 1970: a life time after the last failure. */
  readonly untilMs: number
  /** As it was where the last attempt failed (`c2s_max_auth_failures`). */
  readonly max: number
}

/** Who failed how often, by address and over all hosts, as in ejabberd. */
export class FailureTable {
  readonly #clock: Clock
  /** Least recent failure first. */
  readonly #failures = new Map<string, Failures>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#failures.size
  }

  /** Counts a failure; how many there are now. */
  add(ip: string, limits: { readonly lifetimeMs: number; readonly max: number }): number {
    const count = (this.#current(ip)?.count ?? 0) + 1
    this.#failures.delete(ip)
    if (this.#failures.size >= maxAddresses) this.#makeRoom()
    const untilMs = this.#clock.now() + limits.lifetimeMs
    this.#failures.set(ip, { count, untilMs, max: limits.max })
    return count
  }

  clear(ip: string): void {
    this.#failures.delete(ip)
  }

  /** Undefined when the address is not banned. */
  banOf(ip: string): Failures | undefined {
    const failures = this.#current(ip)
    return failures !== undefined && failures.count >= failures.max ? failures : undefined
  }

  /** Forgets the addresses of a network; how many there were. */
  forget(network: Cidr): number {
    let forgotten = 0
    for (const ip of this.#failures.keys()) {
      const address = parseIpAddress(ip)
      if (address === undefined || !cidrContains(network, address)) continue
      this.#failures.delete(ip)
      forgotten++
    }
    return forgotten
  }

  sweep(): void {
    for (const ip of this.#failures.keys()) this.#current(ip)
  }

  #current(ip: string): Failures | undefined {
    const failures = this.#failures.get(ip)
    if (failures === undefined || failures.untilMs > this.#clock.now()) return failures
    this.#failures.delete(ip)
    return undefined
  }

  #makeRoom(): void {
    let oldest: string | undefined
    // Whoever fills the table from many addresses must not lift bans by it, nor make each attempt search it all.
    let looks = 0
    for (const ip of this.#failures.keys()) {
      oldest ??= ip
      if (this.banOf(ip) === undefined) {
        this.#failures.delete(ip)
        return
      }
      if (++looks >= 100) break
    }
    if (oldest !== undefined) this.#failures.delete(oldest)
  }
}

const failureTable = defineService<FailureTable>('fail2ban.failures')

/** The server's one table; bans outlive a reload of the module. */
function tableOf(services: Services, clock: Clock): FailureTable {
  const known = services.find(failureTable)
  if (known !== undefined) return known
  const table = new FailureTable(clock)
  services.provide(failureTable, table)
  return table
}

const sweepMs = 10 * 60_000

/** Lets an address, or a network, try again at once. */
export const unbanIp = defineCommand({
  name: 'unban_ip',
  tags: ['accounts'],
  summary: 'Remove banned IP addresses from the fail2ban table',
  args: [{ name: 'address', type: 'binary' }],
  result: { name: 'unbanned', type: 'integer' },
  run([address], context) {
    const network = parseCidr(String(address))
    if (!network.ok) return -1
    return context.services.find(failureTable)?.forget(network.value) ?? 0
  },
})

/** Turns away addresses from which too many sign-ins failed, over every protocol, until some time after the last failure. */
export const fail2ban = defineModule({
  name: 'mod_fail2ban',
  options: {
    access: accessOption('none', 'Addresses for which this rule allows are never turned away.'),
    c2s_auth_ban_lifetime: duration('1 hour', 'How long an address is turned away.'),
    c2s_max_auth_failures: integer({ min: 1 }, 20, 'Failed attempts after which it is.'),
  },
  start(ctx) {
    const table = tableOf(ctx.services, ctx.clock)
    const rules = ctx.service(access)
    const isSafe = (ip: string): boolean => rules.isAllowed(ctx.options.access, { ip }, ctx.host)
    ctx.on(signInTried, ({ ip: text }, _account, isSuccess) => {
      const ip = canonical(text)
      if (ip === undefined) return
      if (isSuccess) {
        table.clear(ip)
        return
      }
      if (isSafe(ip)) return
      const count = table.add(ip, {
        lifetimeMs: ctx.options.c2s_auth_ban_lifetime,
        max: ctx.options.c2s_max_auth_failures,
      })
      if (count === ctx.options.c2s_max_auth_failures) {
        ctx.log.warn({ ip, failures: count }, 'Too many failed sign-ins, the address is banned')
      }
    })
    ctx.on(signInAllowed, ({ ip: text }) => {
      const ip = canonical(text)
      const isBanned = ip !== undefined && table.banOf(ip) !== undefined && !isSafe(ip)
      return isBanned ? 'deny' : undefined
    })
    ctx.on(signInDenialText, (sentence, { ip: text }) => {
      const ip = canonical(text)
      const ban = ip === undefined ? undefined : table.banOf(ip)
      if (sentence !== '' || ip === undefined || ban === undefined) return undefined
      return denial(ip, ban)
    })
    ctx.command(unbanIp)
    ctx.every(sweepMs, () => table.sweep())
  },
  // Nothing is derived from the options: they are read anew each time.
  reload() {},
})

/** One spelling for each address, and none for what is no address (a Unix socket). */
function canonical(text: string | undefined): string | undefined {
  const address = text === undefined ? undefined : parseIpAddress(text)
  return address === undefined ? undefined : formatIpAddress(address)
}

/** ejabberd's sentence, its way of writing the date included. */
function denial(ip: string, { count, untilMs }: Failures): string {
  const [, year, month, day, time] =
    /^(\d+)-(\d\d)-(\d\d)T(\d\d:\d\d:\d\d)/.exec(new Date(untilMs).toISOString()) ?? []
  return (
    `Too many (${count}) failed authentications from this IP address (${ip}). ` +
    `The address will be unblocked at ${time} ${day}.${month}.${year} UTC`
  )
}

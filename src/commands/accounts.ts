import { createHash } from 'node:crypto'
import { accountAdministration, accounts, signIns } from '../core/account.ts'
import type { AccountError } from '../core/account.ts'
import type { Command } from '../core/command.ts'
import { CommandError, defineCommand } from '../core/command.ts'
import {
  accountOf,
  failure,
  host,
  requireHost,
  servedHost,
  setPassword,
  unknownHost,
  user,
  word,
} from './accounts-arguments.ts'

/*
 * Names, arguments, results and sentences are ejabberd's, as its ejabberdctl and HTTP API show them. A `rescode` other than 0 is
 * the word that ejabberd prints behind "Error:".
 */
const done = 0
const no = 'false'

/** What ejabberd answers where `register` fails. */
const registerErrors: Record<Exclude<AccountError, 'exists'>, string> = {
  'invalid-jid': 'Malformed username',
  'invalid-password': 'The password contains unacceptable characters',
  'not-allowed': 'Not allowed',
  'not-found': 'Not allowed',
  unavailable: 'Database failure',
}

export const accountCommands: readonly Command[] = [
  defineCommand({
    name: 'register',
    tags: ['accounts'],
    summary: 'Register a user',
    policy: 'admin',
    args: [user, host, { name: 'password', type: 'binary' }],
    result: 'restuple',
    run: async ([name, domain, password], context) => {
      if (servedHost(domain, context) === undefined) {
        throw new CommandError('cannot_register', unknownHost, 10001)
      }
      const account = accountOf(name, domain)
      const registered =
        account === undefined
          ? ({ ok: false, error: 'invalid-jid' } as const)
          : await context.service(accounts).register(account, String(password))
      if (registered.ok) return `User ${name}@${domain} successfully registered`
      if (registered.error === 'exists') {
        throw new CommandError('conflict', `User ${name}@${domain} already registered`, 10090)
      }
      throw new CommandError(
        'cannot_register',
        `Can't register user ${name}@${domain} at node linnet@localhost: ${registerErrors[registered.error]}`,
        10001,
      )
    },
  }),
  defineCommand({
    name: 'unregister',
    tags: ['accounts'],
    summary: 'Unregister a user, with everything that is kept for the account',
    policy: 'admin',
    args: [user, host],
    result: 'restuple',
    run: async ([name, domain], context) => {
      requireHost(domain, context)
      const account = accountOf(name, domain)
      const removed =
        account === undefined ? undefined : await context.service(accounts).remove(account)
      // As in ejabberd, removing what is not there is no failure.
      if (removed === undefined || removed.ok || removed.error === 'not-found') return ''
      throw failure(removed.error)
    },
  }),
  defineCommand({
    name: 'registered_users',
    tags: ['accounts'],
    summary: 'List all registered users in HOST',
    args: [host],
    result: { name: 'users', type: { list: { name: 'username', type: 'string' } } },
    run: ([domain], context) => context.service(accounts).list(requireHost(domain, context)),
  }),
  defineCommand({
    name: 'check_account',
    tags: ['accounts'],
    summary: 'Check if an account exists or not',
    args: [user, host],
    result: 'rescode',
    run: async ([name, domain], context) => {
      const account = accountOf(name, domain)
      return account !== undefined && (await context.service(accounts).exists(account)) ? done : no
    },
  }),
  defineCommand({
    name: 'check_password',
    tags: ['accounts'],
    summary: 'Check if a password is correct',
    args: [user, host, { name: 'password', type: 'binary' }],
    result: 'rescode',
    run: async ([name, domain, password], context) => {
      const account = accountOf(name, domain)
      if (account === undefined) return no
      // Not an attempt to sign in: it neither counts as one nor is turned away as one.
      const checked = await context.service(signIns).verifyPassword(account, String(password))
      if (!checked.ok && checked.error === 'unavailable') throw failure('unavailable')
      return checked.ok ? done : no
    },
  }),
  defineCommand({
    name: 'check_password_hash',
    tags: ['accounts'],
    summary: 'Check if the password hash is correct; needs passwords that are stored as they are',
    args: [
      user,
      host,
      { name: 'passwordhash', type: 'binary' },
      { name: 'hashmethod', type: 'binary' },
    ],
    result: 'rescode',
    run: async ([name, domain, hash, method], context) => {
      const account = accountOf(name, domain)
      if (account === undefined) return no
      const stored = await context.service(accountAdministration).plainPassword(account)
      if (!stored.ok && stored.error === 'not-plain') {
        throw word('passwords_scrammed_command_cannot_work')
      }
      if (!stored.ok && stored.error === 'unavailable') throw failure('unavailable')
      const algorithm = hashMethods[String(method)]
      // The word is ejabberd's.
      if (algorithm === undefined) throw word('unkown_hash_method')
      if (!stored.ok) return no
      const digest = createHash(algorithm).update(stored.value).digest('hex').toUpperCase()
      return digest === hash ? done : no
    },
  }),
  defineCommand({
    name: 'change_password',
    tags: ['accounts'],
    summary: 'Change the password of an account',
    args: [user, host, { name: 'newpass', type: 'binary' }],
    result: 'rescode',
    run: async ([name, domain, password], context) => {
      await setPassword(name, domain, String(password), context)
      return done
    },
  }),
  defineCommand({
    name: 'convert_to_scram',
    tags: ['sql'],
    summary: 'Replace the passwords that are stored as they are by SCRAM keys',
    args: [host],
    result: 'rescode',
    run: async ([domain], context) => {
      await context.service(accountAdministration).convertToScram(requireHost(domain, context))
      return done
    },
  }),
]

/** The hashes of Erlang's crypto application that there are here, by its names. */
const hashMethods: Readonly<Record<string, string>> = {
  md5: 'md5',
  ripemd160: 'ripemd160',
  sha: 'sha1',
  sha224: 'sha224',
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
  sha3_224: 'sha3-224',
  sha3_256: 'sha3-256',
  sha3_384: 'sha3-384',
  sha3_512: 'sha3-512',
  blake2b: 'blake2b512',
  blake2s: 'blake2s256',
}

import { createPublicKey, createSecretKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { JWTPayload } from 'jose'
import type { Clock } from '../core/clock.ts'
import type { BareJid, HostName, Localpart } from '../xmpp/jid/jid.ts'
import { makeJid, parseJid, prepLocalpart } from '../xmpp/jid/jid.ts'
import type { Backend, Verdict } from './backend.ts'

export interface JwtSettings {
  /** `jwt_jid_field` */
  readonly jidField: string
  /** `jwt_auth_only_rule`: who may sign in by a token only. */
  readonly isTokenOnly: (account: BareJid) => boolean
}

export interface JwtKey {
  readonly key: KeyObject
  /** What a token may be signed with: the key's own algorithm, or those that fit its kind; never what the token likes. */
  readonly algorithms: readonly string[]
  /** RFC 7518 §3.2: a secret of fewer than 32 bytes may be guessed from one token. */
  readonly isShort: boolean
}

/** Tokens in place of passwords (`auth_method: jwt`, RFC 7519): whoever has one that the key signed for the account is in. */
export class JwtBackend implements Backend {
  readonly name = 'jwt'
  readonly isExternal = true
  readonly #host: HostName
  readonly #key: JwtKey | undefined
  readonly #settings: JwtSettings
  readonly #clock: Clock
  readonly #isPresent: (account: BareJid) => boolean

  /** Without a key every token is refused. */
  constructor(
    host: HostName,
    key: JwtKey | undefined,
    settings: JwtSettings,
    clock: Clock,
    isPresent: (account: BareJid) => boolean,
  ) {
    this.#host = host
    this.#key = key
    this.#settings = settings
    this.#clock = clock
    this.#isPresent = isPresent
  }

  /** It keeps no list: who has a session is there. */
  async exists(local: Localpart): Promise<boolean> {
    return this.#isPresent(makeJid(local, this.#host, ''))
  }

  async verify(local: Localpart, token: string): Promise<Verdict> {
    const account = makeJid(local, this.#host, '')
    if (await this.#isFor(account, token)) return 'right'
    return this.#settings.isTokenOnly(account) ? 'stop' : 'wrong'
  }

  async #isFor(account: BareJid, token: string): Promise<boolean> {
    if (this.#key === undefined || token === '') return false
    const { jwtVerify, errors } = await import('jose')
    let claims: JWTPayload
    try {
      const verified = await jwtVerify(token, this.#key.key, {
        algorithms: [...this.#key.algorithms],
        requiredClaims: ['exp'],
        currentDate: new Date(this.#clock.now()),
      })
      claims = verified.payload
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError) return false
      throw error
    }
    const claim = claims[this.#settings.jidField]
    return typeof claim === 'string' && this.#means(claim, account)
  }

  /** The claim is the account's bare JID, or its localpart. */
  #means(claim: string, account: BareJid): boolean {
    if (claim.includes('@')) {
      const jid = parseJid(claim)
      return jid.ok && jid.value === account
    }
    const local = prepLocalpart(claim)
    return local.ok && makeJid(local.value, this.#host, '') === account
  }
}

/** Reads `jwt_key`: PEM, a JWK, or a JWK set of one. Throws with a sentence that says what is wrong. */
export async function readJwtKey(file: string): Promise<JwtKey> {
  return parseJwtKey(await readFile(file, 'utf8'))
}

export function parseJwtKey(text: string): JwtKey {
  if (!text.trimStart().startsWith('{')) {
    const key = createPublicKey(text)
    return { key, algorithms: algorithmsFor(key), isShort: false }
  }
  const parsed: unknown = JSON.parse(text)
  const jwk = onlyKey(parsed)
  const key =
    jwk['kty'] === 'oct'
      ? createSecretKey(secretOf(jwk['k']))
      : createPublicKey({ key: jwk, format: 'jwk' })
  const fitting = algorithmsFor(key)
  const isShort = key.type === 'secret' && (key.symmetricKeySize ?? 0) < 32
  const own = jwk['alg']
  if (own === undefined) return { key, algorithms: fitting, isShort }
  if (typeof own !== 'string' || !fitting.includes(own)) {
    throw new Error(`The algorithm ${JSON.stringify(own)} does not fit the key`)
  }
  return { key, algorithms: [own], isShort }
}

function onlyKey(value: unknown): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw new Error('It is neither a JWK nor a set of them')
  const keys = value['keys']
  if (keys === undefined) return value
  if (!Array.isArray(keys) || keys.length !== 1 || !isObject(keys[0])) {
    throw new Error('The set has to hold exactly one key')
  }
  return keys[0]
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function secretOf(k: unknown): Buffer {
  const secret = Buffer.from(typeof k === 'string' ? k : '', 'base64url')
  if (secret.length === 0) throw new Error('The key has no "k"')
  return secret
}

function algorithmsFor(key: KeyObject): readonly string[] {
  if (key.type === 'secret') return ['HS256', 'HS384', 'HS512']
  const curve = key.asymmetricKeyDetails?.namedCurve ?? ''
  const kind = key.asymmetricKeyType === 'ec' ? curve : (key.asymmetricKeyType ?? '')
  const algorithms = algorithmsByKind[kind]
  if (algorithms === undefined) throw new Error(`Keys of the kind "${kind}" sign no tokens`)
  return algorithms
}

/** RFC 7518 §3.1, RFC 8037 §3.1, by the kind of key or its curve. */
const algorithmsByKind: Readonly<Record<string, readonly string[]>> = {
  rsa: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  'rsa-pss': ['PS256', 'PS384', 'PS512'],
  prime256v1: ['ES256'],
  secp384r1: ['ES384'],
  secp521r1: ['ES512'],
  ed25519: ['EdDSA', 'Ed25519'],
}

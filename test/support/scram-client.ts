import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'

export interface ScramClientOptions {
  readonly hash: 'sha1' | 'sha256' | 'sha512'
  readonly userName: string
  readonly password: string
  readonly nonce?: string
  readonly authzid?: string
  /** `n` unless given; with `binding` the data that goes with `p=...`. */
  readonly flag?: string
  readonly binding?: Uint8Array
  /** Put behind the nonce of the first and of the last message. */
  readonly extensions?: string
}

/** The client's side of SCRAM (RFC 5802 §3), for tests. */
export class ScramClient {
  readonly #options: ScramClientOptions
  #serverSignature = ''

  constructor(options: ScramClientOptions) {
    this.#options = options
  }

  get #header(): string {
    const { flag = 'n', authzid } = this.#options
    return `${flag},${authzid === undefined ? '' : `a=${escapeName(authzid)}`},`
  }

  get #bare(): string {
    const { userName, nonce = 'client-nonce', extensions = '' } = this.#options
    return `n=${escapeName(userName)},r=${nonce}${extensions}`
  }

  first(): Buffer {
    return Buffer.from(this.#header + this.#bare)
  }

  final(serverFirst: Uint8Array): Buffer {
    const { hash, password, binding = new Uint8Array(), extensions = '' } = this.#options
    const challenge = Buffer.from(serverFirst).toString()
    const attributes = new Map(challenge.split(',').map((part) => [part[0], part.slice(2)]))
    const salt = Buffer.from(attributes.get('s') ?? '', 'base64')
    const iterations = Number(attributes.get('i'))
    const size = createHash(hash).digest().length
    const salted = pbkdf2Sync(password, salt, iterations, size, hash)
    const clientKey = createHmac(hash, salted).update('Client Key').digest()
    const storedKey = createHash(hash).update(clientKey).digest()
    const bound = Buffer.concat([Buffer.from(this.#header), binding]).toString('base64')
    const withoutProof = `c=${bound},r=${attributes.get('r')}${extensions}`
    const message = `${this.#bare},${challenge},${withoutProof}`
    const signature = createHmac(hash, storedKey).update(message).digest()
    const proof = Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] ?? 0)))
    const serverKey = createHmac(hash, salted).update('Server Key').digest()
    this.#serverSignature = createHmac(hash, serverKey).update(message).digest('base64')
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`)
  }

  /** Whether the server proved that it knows the account's keys. */
  accepts(serverFinal: Uint8Array): boolean {
    return Buffer.from(serverFinal).toString() === `v=${this.#serverSignature}`
  }
}

function escapeName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C')
}

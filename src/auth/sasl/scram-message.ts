import type { Result } from '../../util/result.ts'
import { err, ok } from '../../util/result.ts'
import { decodeBase64 } from './base64.ts'
import { decodeUtf8 } from './utf8.ts'

/** RFC 5802 §7: whether the client binds to the channel, cannot, or thinks that we cannot. */
export type Gs2Flag =
  | { readonly kind: 'binds'; readonly type: string }
  | { readonly kind: 'cannot' }
  | { readonly kind: 'thinks-server-cannot' }

export interface ClientFirst {
  readonly flag: Gs2Flag
  readonly authzid: string
  readonly userName: string
  readonly nonce: string
  /** The gs2-header as sent, with its comma: the client repeats it in its last message. */
  readonly header: string
  /** The message without that header. */
  readonly bare: string
}

export interface ClientFinal {
  readonly channelBinding: Buffer
  readonly nonce: string
  readonly proof: Buffer
  readonly withoutProof: string
}

/** `mandatory-extension`: an attribute `m`, which we have to refuse (RFC 5802 §5.1). */
export type ScramMessageError = 'malformed' | 'mandatory-extension'

/** RFC 5802 §7, cb-name. */
const bindingName = /^[A-Za-z0-9.-]{1,64}$/
/** RFC 5802 §7, printable: ASCII without space, control characters and the comma. */
const nonceText = /^[\x21-\x2B\x2D-\x7E]{1,512}$/
const attributeShape = /^[A-Za-z]=[^\0,]+$/s

export function parseClientFirst(bytes: Uint8Array): Result<ClientFirst, ScramMessageError> {
  const text = decodeUtf8(bytes)
  if (text === undefined) return err('malformed')
  const first = text.indexOf(',')
  const second = text.indexOf(',', first + 1)
  if (first < 0 || second < 0) return err('malformed')
  const flag = parseFlag(text.slice(0, first))
  const authzid = parseAuthzid(text.slice(first + 1, second))
  if (flag === undefined || authzid === undefined) return err('malformed')
  const bare = text.slice(second + 1)
  const [name = '', nonce = '', ...extensions] = bare.split(',')
  if (name.startsWith('m=')) return err('mandatory-extension')
  const userName = name.startsWith('n=') ? unescapeName(name.slice(2)) : undefined
  if (userName === undefined || userName === '') return err('malformed')
  if (!nonce.startsWith('r=') || !nonceText.test(nonce.slice(2))) return err('malformed')
  const error = checkExtensions(extensions)
  if (error !== undefined) return err(error)
  const header = text.slice(0, second + 1)
  return ok({ flag, authzid, userName, nonce: nonce.slice(2), header, bare })
}

export function parseClientFinal(bytes: Uint8Array): Result<ClientFinal, ScramMessageError> {
  const text = decodeUtf8(bytes)
  if (text === undefined) return err('malformed')
  const [binding = '', nonce = '', ...rest] = text.split(',')
  if (binding.startsWith('m=')) return err('mandatory-extension')
  // The proof is last: whatever stood behind it would not be covered by it.
  const last = rest.pop() ?? ''
  const error = checkExtensions(rest)
  if (error !== undefined) return err(error)
  if (!binding.startsWith('c=') || !nonce.startsWith('r=') || !last.startsWith('p=')) {
    return err('malformed')
  }
  const channelBinding = decodeBase64(binding.slice(2))
  const proof = decodeBase64(last.slice(2))
  if (channelBinding === undefined || proof === undefined) return err('malformed')
  return ok({
    channelBinding,
    nonce: nonce.slice(2),
    proof,
    withoutProof: text.slice(0, -last.length - 1),
  })
}

function parseFlag(text: string): Gs2Flag | undefined {
  if (text === 'n') return { kind: 'cannot' }
  if (text === 'y') return { kind: 'thinks-server-cannot' }
  if (!text.startsWith('p=') || !bindingName.test(text.slice(2))) return undefined
  return { kind: 'binds', type: text.slice(2) }
}

function parseAuthzid(text: string): string | undefined {
  if (text === '') return ''
  const name = text.startsWith('a=') ? unescapeName(text.slice(2)) : undefined
  return name === '' ? undefined : name
}

/** RFC 5802 §5.1: `=2C` and `=3D` are the only escapes, and `=` has no other use. */
function unescapeName(text: string): string | undefined {
  if (text.includes('\0') || /=(?!2C|3D)/.test(text)) return undefined
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=')
}

/** Unknown attributes are ignored (RFC 5802 §5.1) as long as they are attributes and not mandatory. */
function checkExtensions(extensions: readonly string[]): ScramMessageError | undefined {
  for (const extension of extensions) {
    if (extension.startsWith('m=')) return 'mandatory-extension'
    if (!attributeShape.test(extension)) return 'malformed'
  }
  return undefined
}

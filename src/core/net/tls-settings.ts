import { constants } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { SecureContext, SecureContextOptions } from 'node:tls'
import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'

/** TLS options of a listener, under ejabberd's names; undefined = the default. */
export interface TlsSettings {
  /** OpenSSL's cipher string. */
  readonly ciphers?: string | undefined
  /** File of Diffie-Hellman parameters. */
  readonly dhfile?: string | undefined
  /** File of authorities that certificates of clients are checked against, instead of `ca_file`. */
  readonly cafile?: string | undefined
  readonly protocolOptions?: readonly string[] | undefined
}

/** What goes into every context with some settings, files read. */
export type TlsParameters = Pick<
  SecureContextOptions,
  | 'ca'
  | 'ciphers'
  | 'dhparam'
  | 'honorCipherOrder'
  | 'minVersion'
  | 'secureOptions'
  | 'sessionIdContext'
>

/** OpenSSL's options by ejabberd's names: `no_tlsv1_1` is SSL_OP_NO_TLSv1_1. */
const optionBits: ReadonlyMap<string, number> = new Map(
  Object.entries(constants).flatMap(([name, bits]): [string, number][] => {
    const isOption = name.startsWith('SSL_OP_') && typeof bits === 'number'
    return isOption ? [[name.slice('SSL_OP_'.length).toLowerCase(), bits]] : []
  }),
)

/**
 * Options that ejabberd takes and that change nothing here: OpenSSL no longer has what they switch off or on, or they are
 * always in effect.
 */
const withoutEffect: ReadonlySet<string> = new Set([
  'dont_insert_empty_fragments',
  'enable_middlebox_compat',
  'ephemeral_rsa',
  'microsoft_big_sslv3_buffer',
  'microsoft_sess_id_bug',
  'msie_sslv2_rsa_padding',
  'netscape_ca_dn_bug',
  'netscape_challenge_bug',
  'netscape_demo_cipher_change_bug',
  'netscape_reuse_cipher_change_bug',
  'no_renegotiation',
  'no_session_resumption_on_renegotiation',
  'no_sslv2',
  'no_sslv3',
  'no_tlsv1',
  'no_tlsv1_1',
  'pkcs1_check_1',
  'pkcs1_check_2',
  'single_dh_use',
  'single_ecdh_use',
  'ssleay_080_client_dh_bug',
  'sslref2_reuse_cert_type_bug',
  'tls_block_padding_bug',
  'tls_d5_bug',
  'tls_rollback_bug',
])

/**
 * Reads settings, or says what is wrong with them. TLS 1.0 and 1.1 are off whatever `protocol_options` say (RFC 8996); the server's
 * order of ciphers counts. An option that nobody knows is an error: it might have been meant to forbid something.
 */
export function tlsParameters(
  settings: TlsSettings,
  caFile: string | undefined,
): Result<TlsParameters, string> {
  let secureOptions = 0
  for (const name of settings.protocolOptions ?? []) {
    const key = name.trim().toLowerCase()
    const bits = optionBits.get(key)
    if (bits !== undefined) secureOptions |= bits
    else if (!withoutEffect.has(key)) return err(`Unknown TLS option "${name}"`)
  }
  const neither = constants.SSL_OP_NO_TLSv1_2 | constants.SSL_OP_NO_TLSv1_3
  if ((secureOptions & neither) === neither) {
    return err('The TLS options allow neither TLS 1.2 nor TLS 1.3')
  }
  const authorities = settings.cafile ?? caFile
  try {
    return ok({
      minVersion: 'TLSv1.2',
      honorCipherOrder: true,
      secureOptions,
      dhparam: settings.dhfile === undefined ? 'auto' : readFileSync(settings.dhfile),
      // Without it OpenSSL refuses to resume sessions of clients that showed a certificate.
      sessionIdContext: 'linnet',
      ...(settings.ciphers === undefined ? {} : { ciphers: settings.ciphers }),
      ...(authorities === undefined ? {} : { ca: readFileSync(authorities) }),
    })
  } catch (error) {
    return err(error instanceof Error ? error.message : String(error))
  }
}

/** A context for one certificate, or OpenSSL's complaint. */
export function secureContext(
  parameters: TlsParameters,
  certificate: { readonly chain: string; readonly key: string },
): Result<SecureContext, string> {
  try {
    return ok(createSecureContext({ ...parameters, cert: certificate.chain, key: certificate.key }))
  } catch (error) {
    return err(error instanceof Error ? error.message : String(error))
  }
}

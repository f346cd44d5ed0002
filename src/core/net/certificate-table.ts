import { X509Certificate, createPrivateKey, createPublicKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { domainToASCII } from 'node:url'
import { certificateNames } from './certificate-fields.ts'

/** A file's content, or why it cannot be read. */
export interface PemFile {
  readonly path: string
  readonly text: string
}

/** A certificate that can be used, as it has a key. */
export interface UsableCertificate {
  readonly path: string
  readonly certificate: X509Certificate
  /** PEM of the certificate and those between it and its root. */
  readonly chain: string
  readonly key: string
  readonly isSelfSigned: boolean
  readonly validFromMs: number
  readonly validToMs: number
}

export interface Problem {
  /** `error`: something given cannot be used at all. */
  readonly severity: 'error' | 'warning'
  readonly message: string
}

interface Found {
  readonly path: string
  readonly certificate: X509Certificate
}

interface FoundKey {
  readonly path: string
  readonly pem: string
  isUsed: boolean
}

/** Which certificate serves which domain. */
export class CertificateTable {
  readonly certificates: readonly UsableCertificate[]
  readonly problems: readonly Problem[]
  readonly #exact = new Map<string, UsableCertificate>()
  /** By the domain behind `*.`. */
  readonly #wildcard = new Map<string, UsableCertificate>()
  readonly #fallback: UsableCertificate | undefined

  /**
   * Sorts what the files hold: certificates and keys in any order, matched by public key. `authorities` only complete chains. Of
   * several certificates for a name, one that is valid now comes first, then one that is not self-signed, then the one that
   * lasts longest.
   */
  constructor(
    files: readonly PemFile[],
    authorities: readonly PemFile[],
    hosts: readonly string[],
    nowMs: number,
  ) {
    const problems: Problem[] = []
    const { certificates, keys } = readFiles(files, problems)
    const pool = [...certificates, ...readFiles(authorities, []).certificates]
    const usable: UsableCertificate[] = []
    for (const found of certificates) {
      const key = keys.get(publicKeyId(found.certificate.publicKey))
      if (key !== undefined) {
        key.isUsed = true
        usable.push(usableCertificate(found, key.pem, pool))
      } else if (!found.certificate.ca) {
        problems.push(warning(`There is no key for the certificate in "${found.path}"`))
      }
    }
    for (const key of keys.values()) {
      if (!key.isUsed)
        problems.push(warning(`There is no certificate for the key in "${key.path}"`))
    }
    usable.sort((a, b) => rank(b, nowMs) - rank(a, nowMs) || b.validToMs - a.validToMs)
    for (const certificate of usable) this.#add(certificate)
    this.certificates = usable
    this.#fallback = this.#fallbackFor(hosts)
    this.problems = [...problems, ...this.#check(hosts, nowMs)]
  }

  /** The certificate for a domain: with that name, with a wildcard that covers it, or else the first host's. */
  find(domain: string | undefined): UsableCertificate | undefined {
    return (domain === undefined ? undefined : this.#named(domain)) ?? this.#fallback
  }

  #named(domain: string): UsableCertificate | undefined {
    const name = asciiName(domain)
    const dot = name.indexOf('.')
    return this.#exact.get(name) ?? (dot < 0 ? undefined : this.#wildcard.get(name.slice(dot + 1)))
  }

  #add(certificate: UsableCertificate): void {
    const names = certificateNames(certificate.certificate)
    const domains = [
      ...names.dns,
      ...names.xmpp.filter((address) => !/[@/]/.test(address)),
      // _xmpp-client.example.org: RFC 4985 names a service of a domain.
      ...names.srv.map((name) => name.replace(/^_[^.]+\./, '')),
    ]
    // RFC 6125 §6.4.4: the common name counts only where there is no other.
    if (domains.length === 0 && names.commonName !== undefined) domains.push(names.commonName)
    for (const domain of domains) {
      const isWildcard = domain.startsWith('*.')
      const table = isWildcard ? this.#wildcard : this.#exact
      const name = asciiName(isWildcard ? domain.slice(2) : domain)
      if (name !== '' && !table.has(name)) table.set(name, certificate)
    }
  }

  #fallbackFor(hosts: readonly string[]): UsableCertificate | undefined {
    for (const host of hosts) {
      const certificate = this.#named(host)
      if (certificate !== undefined) return certificate
    }
    return this.certificates[0]
  }

  #check(hosts: readonly string[], nowMs: number): Problem[] {
    const problems: Problem[] = []
    for (const { path, validFromMs, validToMs } of this.certificates) {
      const until = new Date(validToMs).toISOString().slice(0, 10)
      if (validToMs < nowMs)
        problems.push(warning(`The certificate in "${path}" expired on ${until}`))
      else if (validToMs - nowMs < soonMs) {
        problems.push(warning(`The certificate in "${path}" expires on ${until}`))
      }
      if (validFromMs > nowMs) {
        const from = new Date(validFromMs).toISOString().slice(0, 10)
        problems.push(warning(`The certificate in "${path}" is not valid before ${from}`))
      }
    }
    for (const { path, isSelfSigned } of this.certificates) {
      if (isSelfSigned) {
        const message = `The certificate in "${path}" is self-signed: clients and other servers will not trust it`
        problems.push(warning(message))
      }
    }
    for (const host of this.certificates.length === 0 ? [] : hosts) {
      if (this.#named(host) === undefined) {
        problems.push(warning(`There is no certificate for the host "${host}"`))
      }
    }
    return problems
  }
}

const soonMs = 14 * 86_400_000

function warning(message: string): Problem {
  return { severity: 'warning', message }
}

function rank(certificate: UsableCertificate, nowMs: number): number {
  const isValid = certificate.validFromMs <= nowMs && nowMs < certificate.validToMs
  return (isValid ? 2 : 0) + (certificate.isSelfSigned ? 0 : 1)
}

/** Domains are compared as A-labels, which is what SNI has. */
function asciiName(domain: string): string {
  const name = domain.endsWith('.') ? domain.slice(0, -1) : domain
  return domainToASCII(name) || name.toLowerCase()
}

const pemBlock = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]+?-----END \1-----/g

function readFiles(
  files: readonly PemFile[],
  problems: Problem[],
): { certificates: Found[]; keys: Map<string, FoundKey> } {
  const certificates = new Map<string, Found>()
  const keys = new Map<string, FoundKey>()
  for (const { path, text } of files) {
    let count = 0
    for (const [pem, label = ''] of text.matchAll(pemBlock)) {
      try {
        if (label.endsWith('CERTIFICATE')) {
          count++
          const certificate = new X509Certificate(pem)
          // The same certificate often stands alone and at the head of a chain.
          if (!certificates.has(certificate.fingerprint256)) {
            certificates.set(certificate.fingerprint256, { path, certificate })
          }
        } else if (label.endsWith('PRIVATE KEY')) {
          count++
          const id = publicKeyId(createPublicKey(createPrivateKey(pem)))
          if (!keys.has(id)) keys.set(id, { path, pem, isUsed: false })
        }
      } catch (error) {
        const what = label.endsWith('CERTIFICATE') ? 'certificate' : 'key'
        const why = error instanceof Error ? error.message : String(error)
        problems.push({ severity: 'error', message: `Cannot read a ${what} in "${path}": ${why}` })
      }
    }
    if (count > 0) continue
    problems.push({ severity: 'error', message: `There is no certificate or key in "${path}"` })
  }
  return { certificates: [...certificates.values()], keys }
}

function publicKeyId(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'der' }).toString('base64')
}

function usableCertificate(
  { path, certificate }: Found,
  key: string,
  pool: readonly Found[],
): UsableCertificate {
  const chain = [certificate]
  let last = certificate
  // The root itself is left out: who trusts it has it. No chain is longer, and a circle has to end.
  while (chain.length < 10 && !isSelfSigned(last)) {
    const issuer = issuerOf(last, pool)
    if (issuer === undefined || isSelfSigned(issuer) || chain.includes(issuer)) break
    chain.push(issuer)
    last = issuer
  }
  return {
    path,
    certificate,
    chain: chain.map((link) => link.toString()).join(''),
    key,
    isSelfSigned: isSelfSigned(certificate),
    validFromMs: certificate.validFromDate.getTime(),
    validToMs: certificate.validToDate.getTime(),
  }
}

function isSelfSigned(certificate: X509Certificate): boolean {
  // Not `checkIssued`, which asks for the right to sign others.
  return certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey)
}

/** The certificate that signed it; of several (cross-signed or renewed authorities) the one that lasts longest. */
function issuerOf(
  certificate: X509Certificate,
  pool: readonly Found[],
): X509Certificate | undefined {
  const issuers = pool
    .map((found) => found.certificate)
    .filter((other) => certificate.checkIssued(other) && certificate.verify(other.publicKey))
  return issuers.toSorted((a, b) => b.validToDate.getTime() - a.validToDate.getTime())[0]
}

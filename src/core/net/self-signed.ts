import { X509Certificate } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { domainToASCII } from 'node:url'
import { certificateNames } from './certificate-fields.ts'
import type { PemFile } from './certificate-table.ts'
import { issueCertificate } from './issue-certificate.ts'
import type { CertificateRequest } from './issue-certificate.ts'

const dayMs = 86_400_000
/** Some clients refuse certificates that last longer than 825 days. */
const lifeMs = 800 * dayMs
const renewalMs = 30 * dayMs

/**
 * The certificate that Linnet makes for itself while nobody gives it one. It is kept in the data directory, so that clients can be
 * told to trust it, and replaced when the hosts change or it is about to expire.
 */
export function ensureSelfSigned(
  dataDir: string,
  hosts: readonly string[],
  nowMs: number,
): PemFile {
  const directory = join(dataDir, 'certs')
  const path = join(directory, 'self-signed.pem')
  const names = namesFor(hosts)
  const kept = readIfThere(path)
  if (kept !== undefined && isGood(kept, names, nowMs)) return { path, text: kept }
  const { certificate, key } = issueCertificate({
    ...names,
    notBefore: new Date(nowMs - dayMs),
    notAfter: new Date(nowMs + lifeMs),
  })
  const text = certificate + key
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  // Never half a file, and never a key that others can read.
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, text, { mode: 0o600 })
  renameSync(temporary, path)
  return { path, text }
}

type Names = Required<Pick<CertificateRequest, 'name' | 'dns' | 'ips' | 'xmpp'>>

function namesFor(hosts: readonly string[]): Names {
  const domains = hosts
    .filter((host) => isIP(host) === 0)
    .map((host) => domainToASCII(host) || host)
  // Services such as conference.example.org.
  const services = domains.filter((domain) => domain.includes('.')).map((domain) => `*.${domain}`)
  const loopback = hosts.includes('localhost') ? ['127.0.0.1', '::1'] : []
  const first = domains[0] ?? 'localhost'
  return {
    // RFC 5280 appendix A: at most 64 characters.
    name: first.length <= 64 ? first : 'Linnet',
    dns: [...domains, ...services],
    ips: [...new Set([...hosts.filter((host) => isIP(host) !== 0), ...loopback])],
    xmpp: [...hosts],
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

function isGood(text: string, wanted: Names, nowMs: number): boolean {
  try {
    const certificate = new X509Certificate(text)
    const { dns, xmpp } = certificateNames(certificate)
    return (
      same(dns, wanted.dns) &&
      same(xmpp, wanted.xmpp) &&
      text.includes('PRIVATE KEY') &&
      certificate.validToDate.getTime() - nowMs > renewalMs
    )
  } catch {
    // Whatever it is, it is no certificate: it is made anew.
    return false
  }
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item) => b.includes(item))
}

import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { SecureContext } from 'node:tls'
import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { TlsContexts } from '../transport.ts'
import { CertificateTable } from './certificate-table.ts'
import type { PemFile, Problem, UsableCertificate } from './certificate-table.ts'
import { ensureSelfSigned } from './self-signed.ts'
import { secureContext, tlsParameters } from './tls-settings.ts'
import type { TlsParameters, TlsSettings } from './tls-settings.ts'

/** Where certificates come from. */
export interface CertificateSources {
  readonly hosts: readonly string[]
  /** Paths, which may hold wildcards; relative ones are resolved against the current directory. */
  readonly certfiles: readonly string[]
  /** Top-level `ca_file`: completes chains, and checks clients where a listener has no `cafile`. */
  readonly caFile: string | undefined
  /** The data directory, for a certificate of our own while there are no `certfiles`. */
  readonly dataDir: string
}

/** The certificates of all hosts. Connections that are up keep the one they have when it is replaced. */
export class Certificates implements TlsContexts {
  readonly #log: Log
  readonly #clock: Clock
  #sources: CertificateSources
  #table: CertificateTable
  #generation = 0
  readonly #default: SettingsContexts

  /** Reads all files; what is wrong with them is logged, and in `problems`. */
  constructor(sources: CertificateSources, clock: Clock, log: Log) {
    this.#log = log
    this.#clock = clock
    this.#sources = sources
    const { table, problems } = this.#read(sources)
    this.#table = table
    this.#report(problems)
    this.#default = new SettingsContexts(this, {}, log)
  }

  /** Counts reloads, so that contexts made before are not used for new connections. */
  get generation(): number {
    return this.#generation
  }

  /** What is wrong with the certificates in use, and with those that could not be used. */
  get problems(): readonly Problem[] {
    return this.#table.problems
  }

  get certificates(): readonly UsableCertificate[] {
    return this.#table.certificates
  }

  get caFile(): string | undefined {
    return this.#sources.caFile
  }

  find(domain: string | undefined): UsableCertificate | undefined {
    return this.#table.find(domain)
  }

  contextFor(domain: string | undefined): SecureContext | undefined {
    return this.#default.contextFor(domain)
  }

  /** The same certificates with the TLS options of a listener, or what is wrong with those. */
  withSettings(settings: TlsSettings): Result<TlsContexts, string> {
    const contexts = new SettingsContexts(this, settings, this.#log)
    const problem = contexts.check()
    return problem === undefined ? ok(contexts) : err(problem)
  }

  /**
   * Reads all files again, from other places if `sources` are given. When one cannot be read, everything stays as it was and false
   * comes back: half of a renewal must not take a host's certificate away.
   */
  reload(sources: CertificateSources = this.#sources): boolean {
    const { table, problems } = this.#read(sources)
    this.#report(problems)
    if (
      problems.some(({ severity }) => severity === 'error') &&
      this.#table.certificates.length > 0
    ) {
      this.#log.error('Certificates stay as they were because some could not be read')
      return false
    }
    this.#sources = sources
    this.#table = table
    this.#generation++
    return true
  }

  #read(sources: CertificateSources): { table: CertificateTable; problems: readonly Problem[] } {
    const problems: Problem[] = []
    const nowMs = this.#clock.now()
    const files =
      sources.certfiles.length > 0
        ? readPemFiles(sources.certfiles, problems)
        : [ensureSelfSigned(sources.dataDir, sources.hosts, nowMs)]
    const authorities = sources.caFile === undefined ? [] : readPemFiles([sources.caFile], problems)
    const table = new CertificateTable(files, authorities, sources.hosts, nowMs)
    return { table, problems: [...problems, ...table.problems] }
  }

  #report(problems: readonly Problem[]): void {
    for (const { severity, message } of problems) {
      if (severity === 'error') this.#log.error(message)
      else this.#log.warn(message)
    }
  }
}

function readPemFiles(patterns: readonly string[], problems: Problem[]): PemFile[] {
  const paths = new Set<string>()
  for (const pattern of patterns) {
    const found = /[*?[{]/.test(pattern) ? globSync(pattern).sort() : [pattern]
    if (found.length === 0) {
      problems.push({ severity: 'error', message: `No file matches "${pattern}"` })
    }
    for (const path of found) paths.add(resolve(path))
  }
  const files: PemFile[] = []
  for (const path of paths) {
    try {
      files.push({ path, text: readFileSync(path, 'latin1') })
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      problems.push({ severity: 'error', message: `Cannot read "${path}": ${why}` })
    }
  }
  return files
}

/** Contexts with one set of settings, made when first asked for. */
class SettingsContexts implements TlsContexts {
  readonly #certificates: Certificates
  readonly #settings: TlsSettings
  readonly #log: Log
  readonly #contexts = new Map<UsableCertificate, SecureContext | undefined>()
  #parameters: TlsParameters | undefined
  #generation = -1

  constructor(certificates: Certificates, settings: TlsSettings, log: Log) {
    this.#certificates = certificates
    this.#settings = settings
    this.#log = log
  }

  check(): string | undefined {
    const parameters = tlsParameters(this.#settings, this.#certificates.caFile)
    if (!parameters.ok) return parameters.error
    const certificate = this.#certificates.find(undefined)
    if (certificate === undefined) return undefined
    const context = secureContext(parameters.value, certificate)
    return context.ok ? undefined : context.error
  }

  contextFor(domain: string | undefined): SecureContext | undefined {
    if (this.#generation !== this.#certificates.generation) this.#renew()
    const certificate = this.#certificates.find(domain)
    if (certificate === undefined || this.#parameters === undefined) return undefined
    if (this.#contexts.has(certificate)) return this.#contexts.get(certificate)
    const context = secureContext(this.#parameters, certificate)
    if (!context.ok) {
      this.#log.error({ why: context.error }, `Cannot use the certificate in "${certificate.path}"`)
    }
    const value = context.ok ? context.value : undefined
    this.#contexts.set(certificate, value)
    return value
  }

  /** Reads `cafile` and `dhfile` again; when that fails, what was read before stays. */
  #renew(): void {
    this.#generation = this.#certificates.generation
    this.#contexts.clear()
    const parameters = tlsParameters(this.#settings, this.#certificates.caFile)
    if (parameters.ok) this.#parameters = parameters.value
    else this.#log.error({ why: parameters.error }, 'Cannot use the TLS options of a listener')
  }
}

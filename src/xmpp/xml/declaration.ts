import type { XmlError } from './errors.ts'

// White space as XML has it; \s is more.
const space = '[ \\t\\r\\n]'
const equals = `${space}*=${space}*`
const encoding = '[A-Za-z][-A-Za-z0-9._]*'
const pattern = new RegExp(
  `^<\\?xml${space}+version${equals}(?:"1\\.[0-9]+"|'1\\.[0-9]+')` +
    `(?:${space}+encoding${equals}(?:"(${encoding})"|'(${encoding})'))?` +
    `(?:${space}+standalone${equals}(?:"(?:yes|no)"|'(?:yes|no)'))?${space}*\\?>$`,
)

/** What is wrong with an XML declaration (XML 1.0 §2.8), if anything. */
export function checkDeclaration(text: string): XmlError | undefined {
  const match = pattern.exec(text)
  if (match !== null) {
    const named = match[1] ?? match[2] ?? 'utf-8'
    if (named.toLowerCase() === 'utf-8') return undefined
    // RFC 6120 §11.6
    return { condition: 'unsupported-encoding', detail: 'Encoding other than UTF-8' }
  }
  return /^<\?xml[ \t\r\n]/.test(text)
    ? { condition: 'not-well-formed', detail: 'Malformed XML declaration' }
    : { condition: 'restricted-xml', detail: 'Processing instruction' }
}
